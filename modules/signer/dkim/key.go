package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// The algorithms of keys that [Generate] makes.
const (
	RSA2048 = "rsa2048"
	RSA4096 = "rsa4096"
	Ed25519 = "ed25519" // RFC 8463
)

// The sizes of RSA keys, in bits.
const (
	leastRSA = 1024 // RFC 8301, section 3.2: signers MUST use RSA keys of at least 1024 bits
	goodRSA  = 2048 // and SHOULD use RSA keys of at least 2048 bits
	mostRSA  = 4096 // and verifiers need not support longer ones
)

// A Key is a private key that signs mail.
type Key struct {
	private crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
	signer  crypto.Signer // makes the signatures of private: itself, or see [rsaSigners]
}

func newKey(private crypto.Signer) *Key { return &Key{private: private, signer: private} }

// Generate makes a new key.
func Generate(algorithm string) (*Key, error) {
	var s crypto.Signer
	var err error
	switch algorithm {
	case RSA2048:
		s, err = rsa.GenerateKey(rand.Reader, 2048)
	case RSA4096:
		s, err = rsa.GenerateKey(rand.Reader, 4096)
	case Ed25519:
		_, s, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("%q is no algorithm; use %q, %q or %q", algorithm, RSA2048, RSA4096, Ed25519)
	}
	if err != nil {
		return nil, err
	}
	return newKey(s), nil
}

// ParseKey reads a private key in PEM: PKCS #1 or PKCS #8, RSA or Ed25519, as
// opendkim-genkey, rspamd, openssl and Waxwing itself write them. Errors never
// show what the file holds.
func ParseKey(file []byte) (*Key, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("holds no PEM block; a file that begins with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY----- is expected")
	}
	parsed, err := parseBlock(block)
	if err != nil {
		return nil, err
	}
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < leastRSA || bits > mostRSA {
			return nil, fmt.Errorf("holds an RSA key of %d bits; receivers take keys from %d to %d bits, use 2048", bits, leastRSA, mostRSA)
		}
		return newKey(k), nil
	case ed25519.PrivateKey:
		return newKey(k), nil
	}
	return nil, errors.New("holds a key that is neither RSA nor Ed25519; DKIM has no others")
}

func parseBlock(block *pem.Block) (any, error) {
	switch {
	case block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("holds a key that is protected by a passphrase; decrypt it first, with openssl pkey")
	case block.Type == "RSA PRIVATE KEY":
		k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a damaged RSA key")
		}
		return k, nil
	case block.Type == "PRIVATE KEY":
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a damaged or unsupported key")
		}
		return k, nil
	case strings.HasSuffix(block.Type, "PUBLIC KEY"):
		return nil, errors.New("holds the public key; the private key is needed")
	}
	return nil, fmt.Errorf("holds a PEM block %.40q and not a private key", block.Type)
}

// PEM is the key in PKCS #8, as ParseKey reads it. It is a secret.
func (k *Key) PEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic("dkim: " + err.Error()) // it can marshal what ParseKey and Generate return
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Algorithm is "ed25519", or "rsa" and the number of bits: "rsa2048".
func (k *Key) Algorithm() string {
	if pub, ok := k.private.Public().(*rsa.PublicKey); ok {
		return fmt.Sprintf("rsa%d", pub.N.BitLen())
	}
	return Ed25519
}

// signatureAlgorithm is the value of the tag a= (RFC 6376, section 3.3; RFC
// 8463, section 3).
func (k *Key) signatureAlgorithm() string {
	if _, ok := k.private.Public().(*rsa.PublicKey); ok {
		return "rsa-sha256"
	}
	return "ed25519-sha256"
}

// sign signs a SHA-256 digest. Ed25519 signs it as if it were the message (RFC
// 8463, section 3).
func (k *Key) sign(digest []byte) ([]byte, error) {
	if _, ok := k.private.Public().(*rsa.PublicKey); ok {
		return k.signer.Sign(rand.Reader, digest, crypto.SHA256)
	}
	return k.signer.Sign(rand.Reader, digest, crypto.Hash(0))
}

// weak says whether receivers may think little of the key.
func (k *Key) weak() bool {
	pub, ok := k.private.Public().(*rsa.PublicKey)
	return ok && pub.N.BitLen() < goodRSA
}

// Record is the record to publish for the key (RFC 6376, section 3.6.1).
func (k *Key) Record(domain, selector string) appliance.DNSRecord {
	return appliance.DNSRecord{Name: recordName(domain, selector), Type: "TXT", Value: dkimkey.Text(k.private.Public())}
}
