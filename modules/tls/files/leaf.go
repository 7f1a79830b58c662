package files

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// leafError says why a PEM file does not begin with a certificate, or nil: it
// tells a bad certificate from a bad key when the pair cannot be used.
func leafError(chain []byte) error {
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err
		}
	}
	return errors.New("no certificate")
}
