package dkim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func TestParseKey(t *testing.T) {
	r := rsaKey.private.(*rsa.PrivateKey)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"PKCS #1, as opendkim-genkey wrote", RSA2048, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r))},
		{"PKCS #8, as opendkim-genkey writes", RSA2048, pkcs8(t, r)},
		{"our own", RSA2048, rsaKey.PEM()},
		{"Ed25519", Ed25519, edKey.PEM()},
		{"1024 bits", "rsa1024", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short))},
		{"text around it", RSA2048, []byte("mail.private\n" + string(rsaKey.PEM()) + "\n\n")},
		{"CRLF", RSA2048, []byte(strings.ReplaceAll(string(rsaKey.PEM()), "\n", "\r\n"))},
	} {
		k, err := ParseKey(c.file)
		if err != nil || k.Algorithm() != c.want {
			t.Errorf("%s: %v, %v", c.name, k, err)
			continue
		}
		if k.weak() != (c.want == "rsa1024") {
			t.Errorf("%s: weak = %v", c.name, k.weak())
		}
		again, err := ParseKey(k.PEM())
		if err != nil || again.Record("d", "s") != k.Record("d", "s") {
			t.Errorf("%s: PEM does not read as the same key: %v", c.name, err)
		}
	}
}

// TestParseKeyRefuses: each error says what to do, none shows the file.
func TestParseKeyRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := rsaKey.private.(*rsa.PrivateKey)
	public, err := x509.MarshalPKIXPublicKey(&r.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	tampered := x509.MarshalPKCS1PrivateKey(r)
	tampered[40] ^= 1
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("marker-secret")})
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"empty", "no PEM block", nil},
		{"raw base64, as dknewkey writes Ed25519", "no PEM block", []byte(base64.StdEncoding.EncodeToString(make([]byte, 32)))},
		{"the record", "no PEM block", []byte(`mail._domainkey IN TXT "v=DKIM1; marker-secret"`)},
		{"public key", "the private key is needed", block("PUBLIC KEY", public)},
		{"certificate", "not a private key", block("CERTIFICATE", []byte("marker-secret"))},
		{"passphrase", "decrypt it first", encrypted},
		{"passphrase PKCS #8", "decrypt it first", block("ENCRYPTED PRIVATE KEY", []byte("marker-secret"))},
		{"damaged PKCS #1", "damaged", block("RSA PRIVATE KEY", tampered)},
		{"damaged PKCS #8", "damaged", block("PRIVATE KEY", []byte("marker-secret"))},
		{"ECDSA", "neither RSA nor Ed25519", pkcs8(t, ec)},
		{"768 bits", "768 bits", shortRSA(t, 768)},
	} {
		k, err := ParseKey(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", c.name, k, err, c.want)
		} else if strings.Contains(err.Error(), "marker") {
			t.Errorf("P19: %s: %v", c.name, err)
		}
	}
}

// shortRSA makes a key that crypto/rsa will not make any more.
func shortRSA(t *testing.T, bits int) []byte {
	t.Helper()
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if n.BitLen() != bits || d == nil {
			continue
		}
		k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		k.Precompute()
		return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))
	}
}

func TestGenerate(t *testing.T) {
	for _, k := range []struct {
		key  *Key
		want string
	}{{rsaKey, RSA2048}, {edKey, Ed25519}} {
		if got := k.key.Algorithm(); got != k.want {
			t.Errorf("made %s, want %s", got, k.want)
		}
	}
	if _, err := Generate("dsa"); err == nil || !strings.Contains(err.Error(), RSA2048) {
		t.Errorf("dsa: %v", err)
	}
}

func TestRecord(t *testing.T) {
	r := rsaKey.Record("example.com", "mail")
	if r.Name != "mail._domainkey.example.com" || r.Type != "TXT" || !strings.HasPrefix(r.Value, "v=DKIM1; k=rsa; p=MIIBIjAN") {
		t.Errorf("%+v", r)
	}
	if parts := r.Strings(); len(parts) != 2 {
		t.Errorf("%d strings", len(parts))
	}
	e := edKey.Record("example.com", "mail")
	if p, ok := strings.CutPrefix(e.Value, "v=DKIM1; k=ed25519; p="); !ok || len(p) != 44 {
		t.Errorf("%+v", e)
	}
}
