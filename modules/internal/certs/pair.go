package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// MaxFile bounds a file of certificates or keys, in octets; chains have some
// kilobytes.
const MaxFile = 1 << 20

// A PairError is why a certificate and its key cannot be used.
type PairError struct {
	Part string // which of them is to blame: "certificate" or "key"
	Err  error  // names the file
}

func (e *PairError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PairError) Unwrap() error { return e.Err }

// LoadPair reads a certificate, with its chain, and its private key from two
// PEM files, or from one file that holds both. The error is a [*PairError]; the
// log is told if the key is there for everybody.
func LoadPair(log *zap.Logger, certificate, key string) (*tls.Certificate, error) {
	content, err := localfile.Read(certificate, MaxFile)
	if err != nil {
		return nil, &PairError{"certificate", err}
	}
	secret, err := localfile.ReadSecret(log, key, MaxFile)
	if err != nil {
		return nil, &PairError{"key", err}
	}
	chain, err := Chain(certificate, content)
	if err != nil {
		return nil, &PairError{"certificate", fmt.Errorf("%s %w", certificate, err)}
	}
	keys, err := Keys(key, secret)
	if err != nil {
		return nil, &PairError{"key", fmt.Errorf("%s %w", key, err)}
	}
	switch i := Belongs(chain, keys[0]); {
	case i == 0:
		return Certificate(chain, keys[0]), nil
	case i > 0:
		return nil, &PairError{"certificate", fmt.Errorf("%s %w", certificate, MisplacedError(i))}
	}
	return nil, &PairError{"key", fmt.Errorf("%s does not match the certificate in %s", key, certificate)}
}

// A MisplacedError is the place of the certificate of a key in a chain, if it
// is not the first, 0.
type MisplacedError int

func (e MisplacedError) Error() string {
	return fmt.Sprintf("has the certificate of the key as number %d; it must be the first, and those of its issuers follow", int(e)+1)
}

// Belongs returns the index of the certificate of which key is the private
// key, or -1.
func Belongs(chain []*x509.Certificate, key crypto.Signer) int {
	return slices.IndexFunc(chain, func(c *x509.Certificate) bool {
		public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(key.Public())
	})
}

// Certificate is the chain with the key of its first certificate.
func Certificate(chain []*x509.Certificate, key crypto.Signer) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, one := range chain {
		c.Certificate = append(c.Certificate, one.Raw)
	}
	return c
}
