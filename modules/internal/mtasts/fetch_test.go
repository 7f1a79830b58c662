package mtasts

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
)

const good = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmx: *.Example.NET\r\nmax_age: 604800\r\n"

// host serves the policy host of example.org, and returns a Fetcher for it.
func host(t *testing.T, ca *certstest.CA, c tls.Certificate, h http.HandlerFunc) *Fetcher {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "mta-sts.example.org:443" {
			t.Errorf("%s was dialled", address)
		}
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	return &Fetcher{Dial: dial, Roots: ca.Pool()}
}

// text serves s as a web server does with a file of that name.
func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, s)
	}
}

// TestN12Fetch: only the policy itself, from the domain's own host, counts.
func TestN12Fetch(t *testing.T) {
	ca, stranger := certstest.NewCA(t), certstest.NewCA(t)
	own := ca.Issue(t, "mta-sts.example.org")
	kind := func(k string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", k)
			_, _ = io.WriteString(w, good)
		}
	}
	code := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Location", "/.well-known/mta-sts.txt?again")
			w.WriteHeader(n)
			_, _ = io.WriteString(w, good)
		}
	}
	for _, tc := range []struct {
		name string
		cert tls.Certificate
		serv http.HandlerFunc
		want string // part of the error
	}{
		{"good", own, text(good), ""},
		{"a wildcard certificate", ca.Issue(t, "*.example.org"), text(good), ""},
		{"expired", ca.IssueExpired(t, "mta-sts.example.org"), text(good), "expired"},
		{"another name", ca.Issue(t, "example.org"), text(good), "not mta-sts.example.org"},
		{"another authority", stranger.Issue(t, "mta-sts.example.org"), text(good), "unknown authority"},
		{"404", own, code(404), "answered 404"},
		{"301", own, code(301), "answered 301"},
		{"302", own, code(302), "answered 302"},
		{"307", own, code(307), "answered 307"},
		{"204", own, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "answered 204"},
		{"500", own, code(500), "answered 500"},
		{"HTML", own, kind("text/html"), "not text/plain"},
		{"any type", own, kind("application/octet-stream"), "not text/plain"},
		{"no type", own, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, good)
		}, "not text/plain"},
		{"strange type", own, kind("text/plain/x"), "not text/plain"},
		{"64 KiB", own, text(good + "x: " + strings.Repeat("x", mtasts.MaxSize-len(good)-3)), ""},
		{"more than 64 KiB", own, text(good + "x: " + strings.Repeat("x", mtasts.MaxSize-len(good)-2)), "more than 65536"},
		{"without end", own, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("x: y\n", 1000)); err != nil {
					return
				}
			}
		}, "more than 65536"},
		{"a header without end", own, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
			text(good)(w, r)
		}, "header"},
		{"cut short", own, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10000")
			text(good)(w, r)
		}, "EOF"},
		{"slow", own, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline"},
		{"malformed", own, text("mode: enforce"), "malformed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := host(t, ca, tc.cert, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/.well-known/mta-sts.txt" || r.URL.RawQuery != "" || r.Host != "mta-sts.example.org" {
					t.Errorf("%s%s was asked for", r.Host, r.URL)
				}
				tc.serv(w, r)
			})
			if tc.name == "slow" {
				f.Time = 200 * time.Millisecond
			}
			p, err := f.Fetch(t.Context(), "example.org")
			switch {
			case tc.want == "" && (err != nil || p.Mode != mtasts.Enforce):
				t.Errorf("%v, %v", p, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v, want %q", err, tc.want)
			case tc.want != "" && !errors.Is(err, ErrFetch) && !errors.Is(err, mtasts.ErrPolicy):
				t.Errorf("%v is neither ErrFetch nor ErrPolicy", err)
			}
		})
	}
}

// TestN12Proxy: the environment cannot send us elsewhere, and what Dial
// refuses is not connected to.
func TestN12Proxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	ca := certstest.NewCA(t)
	f := host(t, ca, ca.Issue(t, "mta-sts.example.org"), text(good))
	if _, err := f.Fetch(t.Context(), "example.org"); err != nil {
		t.Error(err)
	}
	private := errors.New("10.0.0.1 is not allowed")
	f.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, private }
	if _, err := f.Fetch(t.Context(), "example.org"); !errors.Is(err, private) || !errors.Is(err, ErrFetch) {
		t.Error(err)
	}
}
