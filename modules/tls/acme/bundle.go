package acme

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"strings"
)

// A bundle is a certificate as the store has it: the chain, the key and what
// the authority said of it, in one value, so that they change in one step.
type bundle struct {
	chain []byte // PEM
	key   []byte // PEM
	meta  []byte // JSON of certmagic.CertificateResource
}

// metaType is the PEM type of the metadata.
const metaType = "ACME METADATA"

// part returns where the part of a bundle with a file extension is, or nil.
func (b *bundle) part(extension string) *[]byte {
	switch extension {
	case ".crt":
		return &b.chain
	case ".key":
		return &b.key
	case ".json":
		return &b.meta
	}
	return nil
}

// encode fails if certificate and key do not fit each other.
func (b *bundle) encode() ([]byte, error) {
	if _, err := b.certificate(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Write(bytes.TrimSpace(b.chain))
	out.WriteByte('\n')
	out.Write(bytes.TrimSpace(b.key))
	out.WriteByte('\n')
	err := pem.Encode(&out, &pem.Block{Type: metaType, Bytes: b.meta})
	return out.Bytes(), err
}

// decodeBundle takes apart what encode made. The error never quotes the value.
func decodeBundle(value []byte) (*bundle, error) {
	b := new(bundle)
	for block, rest := pem.Decode(value); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			b.chain = append(b.chain, pem.EncodeToMemory(block)...)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			b.key = append(b.key, pem.EncodeToMemory(block)...)
		case block.Type == metaType:
			b.meta = block.Bytes
		}
	}
	if len(b.meta) == 0 {
		return nil, errors.New("it has no metadata")
	}
	_, err := b.certificate()
	return b, err
}

// certificate is what is served. It has its Leaf.
func (b *bundle) certificate() (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(b.chain, b.key)
	return &c, err
}
