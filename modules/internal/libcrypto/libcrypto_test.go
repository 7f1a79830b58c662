//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Whoever runs these tests has asked for libcrypto: without the library they
// fail.

var rsa2048 = generate(2048)

func generate(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

// sums are the digests of n messages.
func sums(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		sum := sha256.Sum256(fmt.Append(nil, "message ", i))
		all[i] = sum[:]
	}
	return all
}

func signer(t testing.TB, k *rsa.PrivateKey) *Signer {
	t.Helper()
	s, err := New(k, func(err error) { t.Errorf("crypto/rsa has signed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ready is a library of the test's own, whose functions it may exchange.
func ready(t testing.TB) *library {
	t.Helper()
	l, err := load(soname)
	if err != nil {
		t.Fatalf("%v (apt: libssl3)", err)
	}
	return l
}

func TestVersion(t *testing.T) {
	v, err := Version()
	if err != nil || !strings.HasPrefix(v, "OpenSSL 3.") {
		t.Errorf("%q, %v", v, err)
	}
}

// TestSameOctets: for all sizes that DKIM has, and odd ones, signatures are
// those of crypto/rsa.
func TestSameOctets(t *testing.T) {
	for _, bits := range []int{1024, 1025, 1536, 2047, 2048, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			k := generate(bits)
			s := signer(t, k)
			if !k.PublicKey.Equal(s.Public()) {
				t.Error("another public key")
			}
			for _, digest := range sums(5) {
				got, err := s.sign(digest)
				want, wantErr := rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest)
				if err != nil || wantErr != nil || !bytes.Equal(got, want) {
					t.Errorf("%x, want %x (%v, %v)", got, want, err, wantErr)
				}
			}
		})
	}
}

// TestOthers: what libcrypto is not asked for is what crypto/rsa makes of it.
func TestOthers(t *testing.T) {
	s := signer(t, rsa2048)
	s.sign = func([]byte) ([]byte, error) { t.Error("libcrypto was asked"); return nil, io.EOF }
	for _, c := range []struct {
		name   string
		digest int
		opts   crypto.SignerOpts
		fails  bool
	}{
		{"SHA-1", 20, crypto.SHA1, false},
		{"SHA-512", 64, crypto.SHA512, false},
		{"PSS", 32, &rsa.PSSOptions{Hash: crypto.SHA256}, false},
		{"a digest that is too short", 31, crypto.SHA256, true},
		{"no digest", 0, crypto.SHA256, true},
	} {
		signature, err := s.Sign(rand.Reader, make([]byte, c.digest), c.opts)
		if (err != nil) != c.fails || (signature != nil) == c.fails {
			t.Errorf("%s: %x, %v", c.name, signature, err)
		}
	}
}

// TestNoLibrary: each says what is wrong.
func TestNoLibrary(t *testing.T) {
	broken := filepath.Join(t.TempDir(), soname)
	if err := os.WriteFile(broken, []byte("\x7fELF, but not really"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, want string }{
		{"libcrypto.so.2.99", "no usable OpenSSL 3"},
		{broken, "no usable OpenSSL 3"},
		{"libc.so.6", "OpenSSL_version_num"}, // a library that lacks symbols
	} {
		if l, err := load(c.name); l != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", c.name, l, err)
		}
	}
}

// TestPrepare: a library that cannot be made ready is not used.
func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*library)
	}{
		{"3.0.4", "CVE-2022-2274", func(l *library) { l.versionNumber = func() uint64 { return version304 } }},
		{"initialize", "OPENSSL_init_crypto", func(l *library) { l.initialize = func(uint64, uintptr) int32 { return 0 } }},
		{"context", "OSSL_LIB_CTX_new", func(l *library) { l.newLibraryContext = func() libraryContext { return 0 } }},
		{"provider", "OSSL_PROVIDER_load", func(l *library) {
			load := l.loadProvider
			l.loadProvider = func(c libraryContext, _ string) provider { return load(c, "no-such-provider") }
		}},
		{"digest", "EVP_MD_fetch", func(l *library) {
			fetch := l.fetchDigest
			l.fetchDigest = func(c libraryContext, _ string, p uintptr) digestMethod { return fetch(c, "MD1", p) }
		}},
	} {
		l := ready(t)
		c.change(l)
		if err := l.prepare(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// faults are what libcrypto may do with a key; each makes New refuse it, and a
// signer that has it later lets crypto/rsa sign.
var faults = []struct {
	name, want string
	change     func(*library)
}{
	{"context", "EVP_PKEY_CTX_new_from_pkey", func(l *library) {
		l.newKeyContext = func(libraryContext, privateKey, uintptr) keyContext { return 0 }
	}},
	{"begin", "EVP_PKEY_sign_init", func(l *library) { l.beginSigning = func(keyContext) int32 { return -2 } }},
	{"padding", "EVP_PKEY_CTX_set_rsa_padding", func(l *library) {
		set := l.setPadding
		l.setPadding = func(c keyContext, _ int32) int32 { return set(c, 99) }
	}},
	{"digest", "EVP_PKEY_CTX_set_signature_md", func(l *library) { l.setDigest = func(keyContext, digestMethod) int32 { return 0 } }},
	{"sign", "invalid digest length", func(l *library) {
		sign := l.sign
		l.sign = func(c keyContext, s []byte, n *uintptr, d []byte, _ uintptr) int32 { return sign(c, s, n, d, 31) }
	}},
	{"length", "octets", func(l *library) {
		sign := l.sign
		l.sign = func(c keyContext, s []byte, n *uintptr, d []byte, m uintptr) int32 {
			defer func() { *n = 255 }()
			return sign(c, s, n, d, m)
		}
	}},
}

func TestFaults(t *testing.T) {
	digest := sums(1)[0]
	want, err := rsa.SignPKCS1v15(nil, rsa2048, crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			l := ready(t)
			var told error
			s, err := l.newSigner(rsa2048, func(err error) { told = err })
			if err != nil {
				t.Fatal(err)
			}
			c.change(l)
			if got, err := s.Sign(rand.Reader, digest, crypto.SHA256); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x, %v", got, err)
			}
			if told == nil || !strings.Contains(told.Error(), c.want) {
				t.Errorf("told of %v, want %s", told, c.want)
			}
			if s, err := l.newSigner(rsa2048, nil); s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("a new signer: %v, %v", s, err)
			}
		})
	}
}

// TestWrongSignature: the test signature is looked at.
func TestWrongSignature(t *testing.T) {
	l := ready(t)
	sign := l.sign
	l.sign = func(c keyContext, s []byte, n *uintptr, d []byte, m uintptr) int32 {
		defer func() { s[100] ^= 1 }()
		return sign(c, s, n, d, m)
	}
	if s, err := l.newSigner(rsa2048, nil); s != nil || err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("%v, %v", s, err)
	}
}

// TestKeyRefused: OpenSSL says why it does not take a key.
func TestKeyRefused(t *testing.T) {
	l := ready(t)
	read := l.readKey
	const ec = 408 // EVP_PKEY_EC
	l.readKey = func(_ int32, reuse uintptr, der *uintptr, n int64, c libraryContext, p uintptr) privateKey {
		return read(ec, reuse, der, n, c, p)
	}
	if s, err := l.newSigner(rsa2048, nil); s != nil || err == nil || !strings.Contains(err.Error(), "d2i_PrivateKey_ex") || !strings.Contains(err.Error(), "error:") {
		t.Errorf("%v, %v", s, err)
	}
}

// TestErrorsAreForgotten: what is said is about this failure and none before.
func TestErrorsAreForgotten(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := ready(t)
	l.fetchDigest(l.context, "MD1", 0)
	l.loadProvider(l.context, "no-such-provider")
	if err := l.failure("first"); !strings.Contains(err.Error(), "unsupported") {
		t.Errorf("%v", err)
	}
	if err := l.failure("second"); !strings.Contains(err.Error(), "error:00000000") {
		t.Errorf("%v", err)
	}
}

// TestNoConfiguration: an openssl.cnf that wants a provider loaded, named by the
// environment, changes nothing, although openssl obeys it.
func TestNoConfiguration(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "openssl.cnf")
	if err := os.WriteFile(conf, []byte(`
config_diagnostics = 1
openssl_conf = start
[start]
providers = all
[all]
stranger = stranger
[stranger]
module = `+conf+`
activate = 1
`), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "OPENSSL_CONF="+conf)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("openssl", "dgst", "-sha256", conf); err == nil {
		t.Fatalf("openssl can live with the file, so this test shows nothing:\n%s", out)
	}
	if out, err := run(os.Args[0], "-test.run=^(TestVersion|TestFaults)$", "-test.v"); err != nil || !strings.Contains(out, "--- PASS: TestFaults/sign") {
		t.Errorf("%v\n%s", err, out)
	}
}
