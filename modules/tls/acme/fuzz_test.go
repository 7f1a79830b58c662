package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// FuzzBundle: a value that is taken for a certificate has a key that fits and is
// stored as it was; an error quotes none of it.
func FuzzBundle(f *testing.F) {
	stored := storedBundle(f)
	f.Add(stored)
	f.Add(stored[:len(stored)/2])
	f.Add([]byte("-----BEGIN ACME METADATA-----\ne30=\n-----END ACME METADATA-----\n"))
	f.Fuzz(func(t *testing.T, value []byte) {
		b, err := decodeBundle(value)
		if err != nil {
			for line := range bytes.Lines(value) {
				if line = bytes.TrimSpace(line); len(line) > 40 && bytes.Contains([]byte(err.Error()), line) {
					t.Errorf("the error quotes the value: %v", err)
				}
			}
			return
		}
		out, err := b.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeBundle(out)
		if err != nil || !bytes.Equal(again.chain, b.chain) || !bytes.Equal(again.key, b.key) || !bytes.Equal(again.meta, b.meta) {
			t.Errorf("%q became %q, %v", value, out, err)
		}
	})
}

// storedBundle is a certificate as it is stored.
func storedBundle(f *testing.F) []byte {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mail.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	b := &bundle{
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		meta:  []byte(`{"sans":["mail.example.com"]}`),
	}
	value, err := b.encode()
	if err != nil {
		f.Fatal(err)
	}
	return value
}
