//go:build libcrypto && linux && (amd64 || arm64)

package dkim

import (
	"crypto"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/libcrypto"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// TestLibcrypto: in a program that is built with libcrypto, it makes the
// signatures of every RSA key, wherever that is from.
func TestLibcrypto(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail.private")
	if err := os.WriteFile(file, rsaKey.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "mail", File: file}} }
	for _, c := range []struct {
		name   string
		change func(*DKIM)
		store  *valuestest.Values
	}{
		{"made", func(*DKIM) {}, new(valuestest.Values)},
		{"in the store", func(*DKIM) {}, stocked(t, "example.com")},
		{"in a file", inFile, new(valuestest.Values)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := configured(c.change)
			logs := start(t, d, c.store)
			madeByLibcrypto(t, d)
			if logs.FilterMessage("RSA signatures are made by libcrypto").Len() != 1 {
				t.Error("the log does not say so")
			}
		})
	}
}

// TestLibcryptoRotated: the next key is signed with by libcrypto, too.
func TestLibcryptoRotated(t *testing.T) {
	d := configured()
	start(t, d, stocked(t, "example.com"))
	if err := d.RotateKeys(t.Context(), "example.com", appliance.RotateNow); err != nil {
		t.Fatal(err)
	}
	if k := d.ring.Load().keys["example.com"][0]; k.key.Record("d", "s") == rsaKey.Record("d", "s") {
		t.Fatal("still the first key")
	}
	madeByLibcrypto(t, d)
}

// madeByLibcrypto signs a message and looks who has done it.
func madeByLibcrypto(t *testing.T, d *DKIM) {
	t.Helper()
	if k := d.ring.Load().keys["example.com"][0].key; !isLibcrypto(k.signer) {
		t.Errorf("signs by %T", k.signer)
	}
	tx := parse(t, plainMail)
	if err := d.Modify(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if v := verify(t, d, wire(t, tx)); len(v) != 1 || v[0].Err != nil {
		t.Errorf("%+v", v)
	}
	if n := testutil.ToFloat64(d.rsa.fallbacks); n != 0 {
		t.Errorf("crypto/rsa has made %v signatures", n)
	}
}

func isLibcrypto(s crypto.Signer) bool {
	_, ok := s.(*libcrypto.Signer)
	return ok
}
