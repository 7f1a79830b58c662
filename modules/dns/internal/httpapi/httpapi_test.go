package httpapi

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "hunter2-hunter2"

func client(t *testing.T, s Settings) *Client {
	t.Helper()
	c, err := s.NewClient(&appliance.Context{}, appliance.NewSecret(secret))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func server(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := ParseURL("url", s.URL+"/path?token="+secret)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func get(ctx context.Context, c *Client, u *url.URL) (*Answer, error) {
	return c.Do(ctx, Request{Method: http.MethodGet, URL: u})
}

func TestParseURL(t *testing.T) {
	for _, good := range []string{"https://dns.example.com", "https://dns.example.com:8443/a/b?x=y", "http://127.0.0.1:80/", "http://[::1]/", "http://localhost:3000"} {
		if _, err := ParseURL("url", good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                                      "is no URL",
		"dns.example.com":                       "is no URL",
		"https://":                              "is no URL",
		"https:dns.example.com":                 "is no URL",
		"http://dns.example.com/":               "plain text",
		"http://127.0.0.1.example.com/":         "plain text",
		"http://10.0.0.1/":                      "plain text",
		"ftp://dns.example.com/":                `begin with "https://"`,
		"https://u:p@dns.example.com/":          "attributes of their own",
		"https://dns.example.com/#x":            "never sent",
		"https://dns.example.com/\x7f" + secret: "is no URL",
	} {
		_, err := ParseURL("url", bad)
		attr, ok := errors.AsType[*appliance.AttrError](err)
		if !ok || attr.Attr != "url" || !strings.Contains(attr.Msg, want) {
			t.Errorf("%q: %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("P19: %v", err)
		}
	}
}

// TestP19NoSecretInErrors: whatever goes wrong, neither the URL nor what the
// server echoes puts a secret into an error.
func TestP19NoSecretInErrors(t *testing.T) {
	u := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "no, not with %s\nsecond line", r.URL.Query().Get("token"))
	})
	a, err := get(t.Context(), client(t, Defaults()), u)
	if err != nil {
		t.Fatal(err)
	}
	err = a.Err("ask for more")
	if want := "http://" + u.Host + " answers 403 Forbidden: no, not with (secret) (ask for more)"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	down, _ := url.Parse("http://127.0.0.1:1/?token=" + secret)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), cancelled} {
		if _, err := client(t, Defaults()).Do(ctx, Request{Method: http.MethodPost, URL: down}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}

// TestRedirect: nothing is sent after a redirect.
func TestRedirect(t *testing.T) {
	var followed atomic.Bool
	other := server(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	u := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.String(), http.StatusTemporaryRedirect)
	})
	a, err := client(t, Defaults()).Do(t.Context(), Request{Method: http.MethodPost, URL: u, Body: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if a.OK() || followed.Load() || !strings.Contains(a.Err("").Error(), "write the URL it moved to") {
		t.Errorf("followed %v: %v", followed.Load(), a.Err(""))
	}
}

// TestX7Huge: an answer without end is left.
func TestX7Huge(t *testing.T) {
	var sent atomic.Int64
	u := server(t, func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 64<<10)
		for range 16 << 10 { // 1 GiB
			n, err := w.Write(block)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	if _, err := get(t.Context(), client(t, Defaults()), u); err == nil || !strings.Contains(err.Error(), "more than 1048576 octets") {
		t.Error(err)
	}
	if sent.Load() > 64<<20 {
		t.Errorf("%d octets were taken", sent.Load())
	}
}

// TestSlow: the end of the context is the end of a request, and the error
// says which time-out it was.
func TestSlow(t *testing.T) {
	hang := make(chan struct{})
	u := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-hang
	})
	defer close(hang)
	s := Defaults()
	s.Timeout = 50 * time.Millisecond
	ctx, cancel := s.Bound(t.Context())
	defer cancel()
	if _, err := get(ctx, client(t, s), u); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Error(err)
	}
}

func TestHTML(t *testing.T) {
	u := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "<!doctype html>\n<title>Who are you</title>")
	})
	a, err := get(t.Context(), client(t, Defaults()), u)
	if err != nil || !strings.Contains(a.Err("").Error(), "418 I'm a teapot: a page of HTML") {
		t.Errorf("%v, %v", a, err)
	}
}

// pipe is a Client whose server is a function, for tests inside a bubble.
type pipe func(*http.Request) (*http.Response, error)

func (f pipe) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRetry: who is busy is asked again after the time it wishes, unless that
// is after the time-out; what may have had an effect is not sent twice.
func TestRetry(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	for _, c := range []struct {
		name, method string
		status       int
		header       string
		err          error
		tries        int
		took         time.Duration
	}{
		{"busy", "POST", 429, "7", nil, maxTries, 21 * time.Second},
		{"busy until a date", "POST", 503, "Sat, 01 Jan 2000 00:00:05 GMT", nil, maxTries, 7 * time.Second},
		{"busy for too long", "POST", 429, "3600", nil, 1, 0},
		{"no header", "POST", 429, "", nil, maxTries, 3 * time.Second},
		{"gateway and a look", "GET", 502, "", nil, maxTries, 3 * time.Second},
		{"gateway and a change", "POST", 502, "", nil, 1, 0},
		{"broken", "GET", 500, "", nil, 1, 0},
		{"reset and a look", "GET", 0, "", reset, maxTries, 3 * time.Second},
		{"reset and a change", "POST", 0, "", reset, 1, 0},
		{"no network error", "GET", 0, "", errors.New("bad certificate"), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				cl := &Client{http: http.Client{Transport: pipe(func(*http.Request) (*http.Response, error) {
					if tries++; c.err != nil {
						return nil, c.err
					}
					return &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.header}}, Body: http.NoBody}, nil
				})}}
				s := Defaults()
				ctx, cancel := s.Bound(t.Context())
				defer cancel()
				start := time.Now()
				a, err := cl.Do(ctx, Request{Method: c.method, URL: &url.URL{Scheme: "https", Host: "dns.example"}})
				if (err == nil) != (c.err == nil) || err == nil && a.Status != c.status {
					t.Errorf("%+v, %v", a, err)
				}
				if tries != c.tries || time.Since(start) != c.took {
					t.Errorf("%d tries in %v, want %d in %v", tries, time.Since(start), c.tries, c.took)
				}
			})
		})
	}
}

// TestRetrySucceeds: the answer of the second try is the answer.
func TestRetrySucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		cl := &Client{http: http.Client{Transport: pipe(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			if tries++; string(body) != `{"a":1}` {
				t.Errorf("try %d has the body %q", tries, body)
			}
			return &http.Response{StatusCode: map[bool]int{true: 429, false: 200}[tries == 1], Body: http.NoBody}, nil
		})}}
		a, err := cl.Do(t.Context(), Request{Method: "POST", URL: &url.URL{Scheme: "https", Host: "dns.example"}, Body: []byte(`{"a":1}`)})
		if err != nil || !a.OK() || tries != 2 {
			t.Errorf("%d tries: %v", tries, err)
		}
	})
}

// TestCertificate: a server must prove its name, and ca_file says who may
// vouch for it.
func TestCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	u, err := ParseURL("url", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), client(t, Defaults()), u); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown authority: %v", err)
	}
	own := Defaults()
	own.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(own.CAFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), client(t, own), u); err != nil {
		t.Error(err)
	}
}

// TestP13CAFile: a file of authorities that cannot be used stops the start.
func TestP13CAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".gone"} {
		s := Defaults()
		s.CAFile = file
		_, err := s.NewClient(&appliance.Context{})
		if attr, ok := errors.AsType[*appliance.AttrError](err); !ok || attr.Attr != "ca_file" {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// names is a resolver of one name.
type names struct{ appliance.Resolver }

func (names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host != "dns.example.com" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}, nil
}

// TestDial: names are those of the appliance's resolver, and the next address
// is tried when one does not answer.
func TestDial(t *testing.T) {
	u := server(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(u.Host)
	d := dialer{names{}}
	c, err := d.dial(t.Context(), "tcp", "dns.example.com:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := d.dial(t.Context(), "tcp", "other.example.com:"+port); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Error(err)
	}
}
