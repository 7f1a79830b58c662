package acmedns

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "eabcdb41-d89f-4580-826f-3e62e9755ef2"
	password = "pbAXVjlIOE01xbut7YnAbkhMQIkcwoHO0ek2j4Q0"
	sub      = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"
)

// value is the answer to some challenge.
func value(i int) string { return fmt.Sprintf("%043d", i) }

// A server is acme-dns as its documentation has it: two values, the older
// makes room, and errors in JSON.
type server struct {
	mu     sync.Mutex
	values []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct{ Subdomain, Txt string }
	say := func(status int, key, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, "{%q: %q}", key, text)
	}
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/update":
		http.NotFound(w, r)
	case r.Header.Get("X-Api-User") != user || r.Header.Get("X-Api-Key") != password:
		say(http.StatusUnauthorized, "error", "forbidden, "+r.Header.Get("X-Api-Key"))
	case json.NewDecoder(r.Body).Decode(&in) != nil || in.Subdomain != sub:
		say(http.StatusBadRequest, "error", "bad_subdomain")
	case len(in.Txt) != 43:
		say(http.StatusBadRequest, "error", "bad_txt")
	default:
		if s.values = append(s.values, in.Txt); len(s.values) > 2 {
			s.values = s.values[1:]
		}
		say(http.StatusOK, "txt", in.Txt)
	}
}

func block(t *testing.T, url string, change func(*ACMEDNS)) *ACMEDNS {
	t.Helper()
	p := New()
	p.Server, p.Username, p.Password, p.Subdomain, p.FullDomain = url, user, appliance.NewSecret(password), sub, sub+".auth.example.org"
	if change != nil {
		change(p)
	}
	if err := errors.Join(p.Validate(), p.Provision(&appliance.Context{Log: zap.NewNop()})); err != nil {
		t.Fatal(err)
	}
	return p
}

func txt(value string) []libdns.Record {
	return []libdns.Record{libdns.RR{Name: "_acme-challenge.mail", Type: "TXT", Data: value}}
}

// TestUpdate: a name and its wildcard at once, and what comes back is what
// was asked for.
func TestUpdate(t *testing.T) {
	fake := new(server)
	s := httptest.NewServer(fake)
	defer s.Close()
	p := block(t, s.URL+"/", nil)
	core, logs := observer.New(zap.DebugLevel)
	p.log = zap.New(core)
	var g sync.WaitGroup
	for i := range 2 {
		g.Go(func() {
			got, err := p.AppendRecords(t.Context(), "example.com.", txt(value(i)))
			if err != nil || len(got) != 1 || got[0].RR().Data != value(i) || got[0].RR().Name != "_acme-challenge.mail" {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	g.Wait()
	slices.Sort(fake.values)
	if !slices.Equal(fake.values, []string{value(0), value(1)}) {
		t.Errorf("the server holds %q", fake.values)
	}
	if gone, err := p.DeleteRecords(t.Context(), "example.com.", txt(value(0))); err != nil || len(gone) > 0 {
		t.Errorf("%v, %v", gone, err)
	}
	if logs.FilterField(zap.String("full_domain", sub+".auth.example.org.")).Len() != 2 {
		t.Errorf("%v", logs.All())
	}
}

// TestRefused: what is wrong and what to do, without the password (P19).
func TestRefused(t *testing.T) {
	s := httptest.NewServer(new(server))
	defer s.Close()
	for _, c := range []struct {
		change func(*ACMEDNS)
		txt    string
		want   string
	}{
		{func(p *ACMEDNS) { p.Username = "other" }, value(1), "compare username, password and subdomain"},
		{func(p *ACMEDNS) { p.Subdomain, p.FullDomain = "x", "x.auth.example.org" }, value(1), "bad_subdomain"},
		{func(p *ACMEDNS) { p.Server += "/api" }, value(1), "below which acme-dns has /update"},
		{func(p *ACMEDNS) { p.Server = "http://127.0.0.1:1" }, value(1), "connection refused"},
		{nil, "v=DKIM1; p=abc", "the answers to ACME challenges and nothing else"},
		{nil, value(1)[1:] + "=", "the answers to ACME challenges and nothing else"},
	} {
		_, err := block(t, s.URL, c.change).AppendRecords(t.Context(), "example.com.", txt(c.txt))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("P19: %v", err)
		}
	}
}

// TestHostile: a server that says yes and means something else.
func TestHostile(t *testing.T) {
	for body, want := range map[string]string{
		`<html>welcome</html>`:        "cannot be understood",
		`{"txt": 5}`:                  "cannot be understood",
		`[]`:                          "cannot be understood",
		``:                            "cannot be understood",
		`{"txt": "another"}`:          "does not confirm",
		`{"txt": "` + value(2) + `"}`: "does not confirm",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		_, err := block(t, s.URL, nil).AppendRecords(t.Context(), "example.com.", txt(value(1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
		s.Close()
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		attr   string
		change func(*ACMEDNS)
	}{
		{"server", func(p *ACMEDNS) { p.Server = "http://auth.example.org" }},
		{"username", func(p *ACMEDNS) { p.Username = "" }},
		{"username", func(p *ACMEDNS) { p.Username = "a\r\nb" }},
		{"password", func(p *ACMEDNS) { p.Password = appliance.NewSecret("") }},
		{"subdomain", func(p *ACMEDNS) { p.Subdomain = "" }},
		{"full_domain", func(p *ACMEDNS) { p.FullDomain = "" }},
		{"full_domain", func(p *ACMEDNS) { p.FullDomain = "a b" }},
		{"full_domain", func(p *ACMEDNS) { p.FullDomain = "other.auth.example.org" }},
		{"timeout", func(p *ACMEDNS) { p.Timeout = 0 }},
	} {
		p := New()
		p.Server, p.Username, p.Password, p.Subdomain, p.FullDomain = "https://auth.example.org", user, appliance.NewSecret(password), sub, sub+".auth.example.org"
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		c.change(p)
		if attr, ok := errors.AsType[*appliance.AttrError](p.Validate()); !ok || attr.Attr != c.attr {
			t.Errorf("%s: %v", c.attr, attr)
		}
	}
}
