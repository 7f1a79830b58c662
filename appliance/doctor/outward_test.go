package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// echoServer lets "https://example.com/" be a server that answers as a test
// says, with a clock that is off.
func (w *world) echoServer(t *testing.T, off time.Duration, answer http.HandlerFunc) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", testTime.Add(-off).Format(http.TimeFormat))
		answer(rw, r)
	}))
	t.Cleanup(s.Close)
	w.Roots = x509.NewCertPool()
	w.Roots.AddCert(s.Certificate())
	w.Settings.Deliverability.Echo = []string{"https://example.com/"}
	dial := w.Dial
	w.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "203.0.113.80:443" && network == "tcp4" {
			return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
		}
		return dial(ctx, network, address)
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

// TestEcho: what servers outside see, or that they see nothing.
func TestEcho(t *testing.T) {
	for _, tt := range []struct {
		name    string
		written []string // into deliverability.addresses
		off     time.Duration
		answer  http.HandlerFunc
		want    []string // findings, as "status text", then details
	}{
		{"an address", nil, time.Second, says("203.0.113.5\n"), []string{
			"ok mail leaves from 203.0.113.5", "203.0.113.5: https://example.com/", "ok it agrees with https://example.com/",
		}},
		{"the one that is written", []string{"203.0.113.5"}, 0, says("203.0.113.5"), []string{
			"ok mail leaves from 203.0.113.5", "203.0.113.5: deliverability.addresses", "ok it agrees with https://example.com/",
		}},
		{"another one", []string{"203.0.113.6"}, 10 * time.Minute, says("203.0.113.5"), []string{
			"warn https://example.com/ sees this machine as 203.0.113.5, and deliverability.addresses has 203.0.113.6", "203.0.113.6: deliverability.addresses",
			"fail it is 10m ahead of that of https://example.com/: signatures are dated by it, and receivers refuse what comes from the future or is too old",
		}},
		{"nonsense", nil, 0, says("<html>hello</html>"), []string{
			"warn not known: this machine has no public address of its own (it has 10.0.0.5); SPF, PTR records and blocklists cannot be looked at",
			`https://example.com/ does not tell the address: it answers "<html>hello</html>", which is no public address`,
			"skipped no server of deliverability.echo has told the time",
		}},
		{"a private address", nil, 0, says("192.168.1.1"), []string{
			"warn not known: this machine has no public address of its own (it has 10.0.0.5); SPF, PTR records and blocklists cannot be looked at",
			`https://example.com/ does not tell the address: it answers "192.168.1.1", which is no public address`,
			"skipped no server of deliverability.echo has told the time",
		}},
		{"an error", nil, 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, []string{
			"warn not known: this machine has no public address of its own (it has 10.0.0.5); SPF, PTR records and blocklists cannot be looked at",
			`https://example.com/ does not tell the address: it answers 429 Too Many Requests`,
			"skipped no server of deliverability.echo has told the time",
		}},
		{"a redirect", nil, 0, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.test/", http.StatusFound)
		}, []string{
			"warn not known: this machine has no public address of its own (it has 10.0.0.5); SPF, PTR records and blocklists cannot be looked at",
			`https://example.com/ does not tell the address: it answers 302 Found`,
			"skipped no server of deliverability.echo has told the time",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, r := serve(t, wellZone+"example.com. A 203.0.113.80\n")
			w := newWorld(t, r)
			w.Settings.Deliverability.Addresses = nil
			for _, a := range tt.written {
				w.Settings.Deliverability.Addresses = append(w.Settings.Deliverability.Addresses, netip.MustParseAddr(a))
			}
			w.echoServer(t, tt.off, tt.answer)
			f, c := w.publicAddresses(t.Context(), "x"), w.clock(t.Context(), "y")
			got := append([]string{string(f.Status) + " " + f.Text}, f.Details...)
			got = append(got, string(c.Status)+" "+c.Text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if (f.Status == appliance.FoundWarn) != (f.Fix != "") {
				t.Errorf("fix: %q", f.Fix)
			}
		})
	}
}
