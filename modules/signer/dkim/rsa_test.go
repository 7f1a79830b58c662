package dkim

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/modules/internal/libcrypto"
)

// observed are signers whose log can be read.
func observed(library string, reason error) (*rsaSigners, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	r := newRSASigners(zap.New(core))
	r.library, r.reason = library, reason
	return r, logs
}

// told are the lines of a log.
func told(logs *observer.ObservedLogs) string {
	var all []string
	for _, e := range logs.TakeAll() {
		all = append(all, e.Level.String()+" "+e.Message)
	}
	return strings.Join(all, "\n")
}

// TestAnnounce: the log names who signs where there is a choice, and why it
// is not who was asked for.
func TestAnnounce(t *testing.T) {
	for _, c := range []struct {
		name, library, want string
		reason              error
	}{
		{"not built", "", "", libcrypto.ErrNotBuilt},
		{"in use", "OpenSSL 3.0.0", "info RSA signatures are made by libcrypto", nil},
		{"missing", "", "warn libcrypto cannot be used", errors.New("no such file")},
	} {
		r, logs := observed(c.library, c.reason)
		r.announce()
		if got := told(logs); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestInfo: the metric names who signs.
func TestInfo(t *testing.T) {
	for library, want := range map[string]string{"": "crypto/rsa", "OpenSSL 3.0.0": "OpenSSL 3.0.0"} {
		r, _ := observed(library, nil)
		text := `# HELP waxwing_dkim_rsa_info Always 1; its label names the library that makes RSA signatures.
# TYPE waxwing_dkim_rsa_info gauge
waxwing_dkim_rsa_info{library="` + want + `"} 1
`
		if err := testutil.CollectAndCompare(r.info(), strings.NewReader(text)); err != nil {
			t.Error(err)
		}
	}
}

// TestProvide: RSA keys get the library's signer, others stay as they are, and
// a key that the library refuses signs by crypto/rsa. What is kept of a key is
// the same either way.
func TestProvide(t *testing.T) {
	other := refusing{rsaKey.private}
	for _, c := range []struct {
		name    string
		key     *Key
		library string
		refused error
		given   bool
	}{
		{"RSA", rsaKey, "OpenSSL 3.0.0", nil, true},
		{"Ed25519", edKey, "OpenSSL 3.0.0", nil, false},
		{"no library", rsaKey, "", nil, false},
		{"refused", rsaKey, "OpenSSL 3.0.0", errors.New("key too small"), false},
	} {
		r, logs := observed(c.library, nil)
		r.open = func(*rsa.PrivateKey, func(error)) (crypto.Signer, error) { return other, c.refused }
		k := newKey(c.key.private)
		r.provide(k, "mail.private")
		if given := k.signer == other; given != c.given || !given && !sameKey(k.signer, k.private) {
			t.Errorf("%s: signs by %T", c.name, k.signer)
		}
		if string(k.PEM()) != string(c.key.PEM()) || k.Record("d", "s") != c.key.Record("d", "s") || k.Algorithm() != c.key.Algorithm() {
			t.Errorf("%s: the key has changed", c.name)
		}
		if got := told(logs); (got != "") != (c.refused != nil) {
			t.Errorf("%s: log %q", c.name, got)
		}
	}
}

func sameKey(a, b crypto.Signer) bool {
	k, ok := a.(interface{ Equal(crypto.PrivateKey) bool })
	return ok && k.Equal(b)
}

// TestFallbacks: each is counted, and one in an hour is logged.
func TestFallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs := observed("OpenSSL 3.0.0", nil)
		for range 100 {
			r.failed(errors.New("malloc failure"))
		}
		time.Sleep(complainEvery)
		r.failed(errors.New("malloc failure"))
		if n := logs.FilterMessageSnippet("libcrypto has failed").Len(); n != 2 {
			t.Errorf("said %d times", n)
		}
		if n := testutil.ToFloat64(r.fallbacks); n != 101 {
			t.Errorf("counted %v", n)
		}
	})
}

// TestRSAMetrics: both metrics are those of the instance.
func TestRSAMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	ctx, _ := house(stocked(t, "example.com"))
	ctx.Metrics = registry
	check(t, configured().Provision(ctx))
	if n, err := testutil.GatherAndCount(registry, "waxwing_dkim_rsa_info", "waxwing_dkim_rsa_fallbacks_total"); n != 2 || err != nil {
		t.Errorf("%d metrics, %v", n, err)
	}
}
