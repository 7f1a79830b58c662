package libcrypto

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"io"
)

// ErrNotBuilt is why a program without the build tag has no signers.
var ErrNotBuilt = errors.New("this program is built without libcrypto")

// A Signer signs with libcrypto, or, when that fails, with crypto/rsa. It may
// be used by many goroutines at a time.
type Signer struct {
	private *rsa.PrivateKey
	sign    func(digest []byte) ([]byte, error)
	failed  func(error)
}

var _ crypto.Signer = (*Signer)(nil)

// Public implements crypto.Signer: it returns an *rsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.private.Public() }

// Sign implements crypto.Signer. libcrypto signs SHA-256 digests by PKCS #1
// v1.5, which is all that DKIM has (RFC 6376, section 3.3.2); the rest is left
// to crypto/rsa.
func (s *Signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return s.private.Sign(random, digest, opts)
	}
	signature, err := s.sign(digest)
	if err != nil {
		s.failed(err)
		return s.private.Sign(random, digest, opts)
	}
	return signature, nil
}
