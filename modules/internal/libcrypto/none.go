//go:build !libcrypto || !linux || !(amd64 || arm64)

package libcrypto

import "crypto/rsa"

// Version is the version of the library that signs, "OpenSSL 3.0.22 25 Aug
// 2026", or the reason why there is none.
func Version() (string, error) { return "", ErrNotBuilt }

// New returns a signer that signs with a key, or the reason why libcrypto does
// not. failed is told of each signature that crypto/rsa had to make instead,
// by the goroutine that signs.
func New(*rsa.PrivateKey, func(error)) (*Signer, error) { return nil, ErrNotBuilt }
