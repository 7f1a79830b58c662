package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
)

// A Fingerprint is the SHA-256 of a certificate in DER.
type Fingerprint [sha256.Size]byte

func fingerprintOf(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.Raw) }

// String is the fingerprint as the configuration takes it.
func (f Fingerprint) String() string { return "SHA256:" + hex.EncodeToString(f[:]) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	digits := string(text)
	// As openssl prints it, or with the name of the hash in front.
	for _, prefix := range []string{"sha256 fingerprint=", "sha256:"} {
		if len(digits) > len(prefix) && strings.EqualFold(digits[:len(prefix)], prefix) {
			digits = digits[len(prefix):]
			break
		}
	}
	b, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if err != nil || len(b) != len(f) {
		return fmt.Errorf(`%.100q is not the SHA-256 fingerprint of a certificate; write "SHA256:" and 64 hexadecimal digits, `+
			`as "openssl x509 -in FILE -noout -fingerprint -sha256" prints them`, text)
	}
	copy(f[:], b)
	return nil
}
