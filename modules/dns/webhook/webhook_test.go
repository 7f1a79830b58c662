package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "hunter2-of-the-webhook"

// A receiver keeps records as the package comment tells its author to.
type receiver struct {
	mu      sync.Mutex
	records []record
	seen    []string // path and body of each request
	headers http.Header
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.seen, s.headers = append(s.seen, r.URL.Path+" "+string(body)), r.Header
	var c change
	if err := json.Unmarshal(body, &c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, rec := range c.Records {
		if !strings.HasSuffix("."+rec.Name, "."+c.Zone) {
			http.Error(w, "not in the zone", http.StatusBadRequest)
			return
		}
		if c.Action == "append" {
			s.records = append(s.records, rec)
			continue
		}
		s.records = slices.DeleteFunc(s.records, func(have record) bool {
			return have.Name == rec.Name && (rec.Type == "" || rec.Type == have.Type) &&
				(rec.Value == "" || rec.Value == have.Value) && (rec.TTL == 0 || rec.TTL == have.TTL)
		})
	}
	w.WriteHeader(http.StatusNoContent)
}

func block(t *testing.T, url string, change func(*Webhook)) *Webhook {
	t.Helper()
	p := New()
	p.URL, p.Secret = url, appliance.NewSecret(secret)
	if change != nil {
		change(p)
	}
	if err := errors.Join(p.Validate(), p.Provision(&appliance.Context{})); err != nil {
		t.Fatal(err)
	}
	return p
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func txt(name, text string) []libdns.Record {
	return []libdns.Record{libdns.TXT{Name: name, Text: text}}
}

func TestSuite(t *testing.T) {
	s := new(receiver)
	providertest.Run(t, providertest.Zone{
		Name: "example.test.", Provider: block(t, serve(t, s), nil),
		TXT: func(_ *testing.T, fqdn string) (values []string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, r := range s.records {
				if r.Name == fqdn && r.Type == "TXT" {
					values = append(values, r.Value)
				}
			}
			return values
		},
	})
}

// TestRequest: the body and the signature are those of the package comment.
func TestRequest(t *testing.T) {
	s := new(receiver)
	p := block(t, serve(t, s)+"/hook", func(p *Webhook) { p.Token = appliance.NewSecret("t0ken") })
	if _, err := p.AppendRecords(t.Context(), "Example.com", txt("_acme-challenge.mail", "v")); err != nil {
		t.Fatal(err)
	}
	const body = `{"action":"append","zone":"example.com.","records":[{"name":"_acme-challenge.mail.example.com.","type":"TXT","value":"v","ttl":60}]}`
	if want := "/hook " + body; len(s.seen) != 1 || s.seen[0] != want {
		t.Errorf("got  %q\nwant %q", s.seen, want)
	}
	at := s.headers.Get("X-Waxwing-Timestamp")
	if got, want := s.headers.Get("X-Waxwing-Signature"), "sha256="+signature(p.Secret, at, []byte(body)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if got := s.headers.Get("Authorization"); got != "Bearer t0ken" {
		t.Errorf("Authorization: %s", got)
	}
}

// TestSignature: a value that another program made of the same input
// (printf '%s' '1767225600.{}' | openssl dgst -sha256 -hmac key).
func TestSignature(t *testing.T) {
	const want = "df344de429b8ee672e1863e0008fdbd0080000536fbccdf0e4f89846acbbe872"
	if got := signature(appliance.NewSecret("key"), "1767225600", []byte("{}")); got != want {
		t.Errorf("%s", got)
	}
}

func TestBasic(t *testing.T) {
	s := new(receiver)
	p := block(t, serve(t, s), func(p *Webhook) {
		p.Secret, p.Username, p.Password = appliance.Secret{}, "u", appliance.NewSecret("p")
	})
	if _, err := p.AppendRecords(t.Context(), "example.com.", txt("a", "v")); err != nil {
		t.Fatal(err)
	}
	if s.headers.Get("Authorization") != "Basic dTpw" || s.headers.Get("X-Waxwing-Signature") != "" {
		t.Errorf("%v", s.headers)
	}
}

func TestHTTPReq(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	p := block(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.URL.Path+" "+string(body))
	}))+"/dns/", func(p *Webhook) { p.Mode = "httpreq" })
	if _, err := p.AppendRecords(t.Context(), "example.com.", append(txt("a", "1"), txt("a", "2")...)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.DeleteRecords(t.Context(), "example.com.", txt("a", "1")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`/dns/present {"fqdn":"a.example.com.","value":"1"}`,
		`/dns/present {"fqdn":"a.example.com.","value":"2"}`,
		`/dns/cleanup {"fqdn":"a.example.com.","value":"1"}`,
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%q", seen)
	}
	got, err := p.AppendRecords(t.Context(), "example.com.", append(txt("a", "1"), libdns.CNAME{Name: "b", Target: "c."}))
	if err == nil || !strings.Contains(err.Error(), `write mode = "json"`) || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestRefused: what the receiver says is in the error, as far as it is fit for
// one, and our secrets are not (P19).
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{http.StatusForbidden, "bad signature", "403 Forbidden: bad signature (compare secret, token"},
		{http.StatusInternalServerError, "line one\nline two", "500 Internal Server Error: line one"},
		{http.StatusNotFound, "your " + secret + " is \x1b[1mfine", "404 Not Found: your (secret) is ?[1mfine"},
		{http.StatusFound, "", "write the URL it moved to"},
	} {
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		got, err := block(t, url, nil).AppendRecords(t.Context(), "example.com.", txt("a", "v"))
		if err == nil || !strings.HasSuffix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if len(got) > 0 {
			t.Errorf("%v is said to be done", got)
		}
	}
}

func TestTimeout(t *testing.T) {
	hang := make(chan struct{})
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer close(hang)
	p := block(t, url, nil)
	p.Timeout = 50 * time.Millisecond
	if _, err := p.AppendRecords(t.Context(), "example.com.", txt("a", "v")); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		attr   string
		change func(*Webhook)
	}{
		{"url", func(p *Webhook) { p.URL = "http://dns-hook.example.com/" }},
		{"mode", func(p *Webhook) { p.Mode = "lego" }},
		{"secret", func(p *Webhook) { p.Secret = appliance.NewSecret("") }},
		{"token", func(p *Webhook) { p.Token = appliance.NewSecret("a\nb") }},
		{"username", func(p *Webhook) { p.Token, p.Username = appliance.NewSecret("t"), "u" }},
		{"username", func(p *Webhook) { p.Username = "a:b" }},
		{"password", func(p *Webhook) { p.Password = appliance.NewSecret("p") }},
		{"timeout", func(p *Webhook) { p.Timeout = time.Hour }},
	} {
		p := New()
		p.URL = "https://dns-hook.example.com/"
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		c.change(p)
		if attr, ok := errors.AsType[*appliance.AttrError](p.Validate()); !ok || attr.Attr != c.attr {
			t.Errorf("%s: %v", c.attr, attr)
		}
	}
}
