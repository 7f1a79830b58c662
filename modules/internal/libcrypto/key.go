//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"runtime"
	"unsafe"
)

// Version is the version of the library that signs, "OpenSSL 3.0.22 25 Aug
// 2026", or the reason why there is none.
func Version() (string, error) {
	l, err := loaded()
	if err != nil {
		return "", err
	}
	return l.version, nil
}

// New returns a signer that signs with a key, or the reason why libcrypto does
// not. failed is told of each signature that crypto/rsa had to make instead,
// by the goroutine that signs.
func New(private *rsa.PrivateKey, failed func(error)) (*Signer, error) {
	l, err := loaded()
	if err != nil {
		return nil, err
	}
	return l.newSigner(private, failed)
}

func (l *library) newSigner(private *rsa.PrivateKey, failed func(error)) (*Signer, error) {
	k, err := l.open(private)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("the first signature of a key is a test"))
	signature, err := k.sign(digest[:])
	if err != nil {
		return nil, err
	}
	if err := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		return nil, fmt.Errorf("a test signature by %s does not verify: %w", l.version, err)
	}
	return &Signer{private: private, sign: k.sign, failed: failed}, nil
}

// A key is a private key in the memory of C.
type key struct {
	library *library
	private privateKey
	size    int // of a signature, in octets
}

// open copies a key to C, which frees it when the key here is garbage.
func (l *library) open(private *rsa.PrivateKey) (*key, error) {
	der := x509.MarshalPKCS1PrivateKey(private)
	defer clear(der)
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(unsafe.SliceData(der))
	// Not a Go pointer: it is moved to the end of der, which may be where another
	// object begins, or none.
	start := uintptr(unsafe.Pointer(unsafe.SliceData(der)))
	k := &key{library: l, size: private.Size()}
	runtime.LockOSThread() // for the errors
	defer runtime.UnlockOSThread()
	if k.private = l.readKey(kindRSA, 0, &start, int64(len(der)), l.context, 0); k.private == 0 {
		return nil, l.failure("d2i_PrivateKey_ex")
	}
	runtime.AddCleanup(k, l.freeKey, k.private)
	return k, nil
}

// sign signs a SHA-256 digest.
func (k *key) sign(digest []byte) ([]byte, error) {
	if err := k.library.slots.Acquire(context.Background(), 1); err != nil {
		return nil, err
	}
	defer k.library.slots.Release(1)
	runtime.LockOSThread() // for the errors
	defer runtime.UnlockOSThread()
	defer runtime.KeepAlive(k)
	return k.signHere(digest)
}

// signHere signs in a context of its own: one that is kept would have to be
// guarded, and saves 2 % of a signature of 2048 bits.
func (k *key) signHere(digest []byte) ([]byte, error) {
	l := k.library
	c := l.newKeyContext(l.context, k.private, 0)
	if c == 0 {
		return nil, l.failure("EVP_PKEY_CTX_new_from_pkey")
	}
	defer l.freeKeyContext(c)
	switch {
	case l.beginSigning(c) != 1:
		return nil, l.failure("EVP_PKEY_sign_init")
	case l.setPadding(c, paddingPKCS1) != 1:
		return nil, l.failure("EVP_PKEY_CTX_set_rsa_padding")
	case l.setDigest(c, l.sha256) != 1:
		return nil, l.failure("EVP_PKEY_CTX_set_signature_md")
	}
	signature, length := make([]byte, k.size), uintptr(k.size)
	if l.sign(c, signature, &length, digest, uintptr(len(digest))) != 1 {
		return nil, l.failure("EVP_PKEY_sign")
	}
	if length != uintptr(k.size) {
		return nil, fmt.Errorf("EVP_PKEY_sign of %s: %s: a signature of %d octets, want %d", soname, l.version, length, k.size)
	}
	return signature, nil
}
