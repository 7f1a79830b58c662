package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// What is said of a file by [Chain] and [Keys] without being a mistake in it.
var (
	// ErrNoPEM is that it is something else altogether.
	ErrNoPEM = errors.New(`is not PEM: it should have a line such as "-----BEGIN CERTIFICATE-----"`)
	// ErrAbsent is that it is PEM, but holds nothing of the kind.
	ErrAbsent = errors.New("holds nothing of the kind")
)

// absent is an ErrAbsent with better words.
type absent string

func (a absent) Error() string { return string(a) }

// Is makes it an ErrAbsent.
func (absent) Is(target error) bool { return target == ErrAbsent }

// Chain returns the certificates in content, in their order; what else is in
// it does not count. The error says what is wrong with the file, to be read
// after its name, and what to do; path is for the commands in it.
func Chain(path string, content []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	var others []string
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			others = append(others, block.Type)
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("has a certificate, number %d, that cannot be parsed: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case len(others) == 0:
		return nil, notPEM(path, content)
	}
	return nil, noCertificate(path, others[0])
}

// noCertificate says what to do with a block where a certificate should be.
func noCertificate(path, block string) error {
	in := filepath.Base(path)
	switch block {
	case "PKCS7":
		return fmt.Errorf("is PKCS #7; convert it: openssl pkcs7 -print_certs -in %s -out %s", in, renamed(path, "-chain.pem"))
	case "TRUSTED CERTIFICATE":
		return fmt.Errorf("is in a format of OpenSSL alone; convert it: openssl x509 -in %s -out %s", in, renamed(path, "-plain.pem"))
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return absent("holds no certificate, only a request for one, of which the authority makes it")
	}
	return absent(fmt.Sprintf("holds no certificate, only %.40q", block))
}

// Keys returns the private keys in content, in their order, and errors as
// [Chain] does. None of them holds anything of a key.
func Keys(path string, content []byte) ([]crypto.Signer, error) {
	var keys []crypto.Signer
	blocks := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		key, err := parseKey(path, block)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case blocks == 0:
		return nil, notPEM(path, content)
	}
	return nil, absent("holds no private key")
}

func parseKey(path string, block *pem.Block) (crypto.Signer, error) {
	// RFC 1421, section 4.6.1.1, is how OpenSSL marks what it has encrypted in
	// the older formats.
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, fmt.Errorf("has an encrypted key, and nobody is there to type its passphrase; write it without: openssl pkey -in %s -out %s",
			filepath.Base(path), renamed(path, "-plain.key"))
	}
	if block.Type == "OPENSSH PRIVATE KEY" {
		return nil, errors.New("has a key of OpenSSH, not one of TLS")
	}
	key, err := parsePrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("has a private key that cannot be parsed: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("has a key that cannot sign (%T); those for RSA, ECDSA and Ed25519 can", key)
	}
	return signer, nil
}

// parsePrivateKey takes any of the three forms, whatever the block is called:
// files with the wrong word are about.
func parsePrivateKey(der []byte) (any, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, err
}

// notPEM says what a file without PEM is, and what to do.
func notPEM(path string, content []byte) error {
	in := filepath.Base(path)
	if _, err := x509.ParseCertificate(content); err == nil {
		return fmt.Errorf("is DER, not PEM; convert it: openssl x509 -inform der -in %s -out %s", in, renamed(path, ".pem"))
	}
	if _, err := parsePrivateKey(content); err == nil {
		return fmt.Errorf("is DER, not PEM; convert it: openssl pkey -inform der -in %s -out %s", in, renamed(path, ".pem"))
	}
	if isPKCS12(content) {
		return fmt.Errorf("is PKCS #12, not PEM; convert it: openssl pkcs12 -nodes -in %s -out %s", in, renamed(path, ".pem"))
	}
	return ErrNoPEM
}

// isPKCS12 recognizes how a PFX begins (RFC 7292, section 4): a SEQUENCE of
// which the first element is the version, INTEGER 3.
func isPKCS12(content []byte) bool {
	const version = "\x02\x01\x03"
	return len(content) > 8 && content[0] == 0x30 && strings.Contains(string(content[:8]), version)
}

// renamed is the base of path with another ending, which no converted file has.
func renamed(path, ending string) string {
	base := filepath.Base(path)
	name := strings.TrimSuffix(base, filepath.Ext(base)) + ending
	if name == base {
		return "new-" + base
	}
	return name
}
