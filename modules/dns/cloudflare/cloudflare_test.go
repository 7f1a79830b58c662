package cloudflare

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func block(t *testing.T, endpoint, secret string) *Cloudflare {
	t.Helper()
	p := New()
	p.Endpoint, p.APIToken = endpoint, appliance.NewSecret(secret)
	if err := errors.Join(p.Validate(), p.Provision(&appliance.Context{})); err != nil {
		t.Fatal(err)
	}
	return p
}

func txt(name, text string) []libdns.Record {
	return []libdns.Record{libdns.TXT{Name: name, Text: text, TTL: time.Hour}}
}

func TestSuite(t *testing.T) {
	f := newFake(t, "other.test", "example.test")
	providertest.Run(t, providertest.Zone{
		Name: "example.test.", Provider: block(t, f.URL, token), TXT: f.txt, Sees: true,
	})
}

// TestZones: the zone is the nearest at or above the one that was named, and
// is looked for once.
func TestZones(t *testing.T) {
	f := newFake(t, "example.test", "sub.example.test")
	p := block(t, f.URL, token)
	for _, zone := range []string{"a.b.example.test.", "a.b.example.test.", "sub.example.test."} {
		got, err := p.AppendRecords(t.Context(), zone, txt("_acme-challenge", "x"))
		if err != nil || len(got) != 1 || got[0].RR().Name != "_acme-challenge" {
			t.Fatalf("%s: %v, %v", zone, got, err)
		}
		if got := f.txt(t, "_acme-challenge."+zone); !slices.Equal(got, []string{"x"}) {
			t.Errorf("%s: %q", zone, got)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool { return c != "GET /zones" })); n != 4 {
		t.Errorf("%d look-ups of zones, want 3 for the first and 1 for the last: %q", n, f.calls)
	}
	if gone, err := p.DeleteRecords(t.Context(), "a.b.example.test.", txt("_acme-challenge", "x")); err != nil || len(gone) != 1 || gone[0].RR().Name != "_acme-challenge" {
		t.Errorf("%v, %v", gone, err)
	}
	_, err := p.AppendRecords(t.Context(), "elsewhere.example.", txt("a", "x"))
	if err == nil || !strings.Contains(err.Error(), "sees no zone elsewhere.example. at Cloudflare, nor one above it") {
		t.Error(err)
	}
}

// TestZoneMoved: a zone that has another identifier now is found again.
func TestZoneMoved(t *testing.T) {
	f := newFake(t, "example.test")
	p := block(t, f.URL, token)
	if _, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "1")); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	for id := range f.zones {
		delete(f.zones, id)
	}
	id := f.id()
	f.zones[id], f.records[id] = "example.test", make(map[string]record)
	f.mu.Unlock()
	if _, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "2")); err == nil || !strings.Contains(err.Error(), "(7003)") {
		t.Error(err)
	}
	if _, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "2")); err != nil {
		t.Error(err)
	}
}

// TestIdentical: what is there already counts as added.
func TestIdentical(t *testing.T) {
	f := newFake(t, "example.test")
	p := block(t, f.URL, token)
	for range 2 {
		if got, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "x")); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
	}
	if got := f.txt(t, "a.example.test."); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestHalf: what was added before a failure is said.
func TestHalf(t *testing.T) {
	f := newFake(t, "example.test")
	p := block(t, f.URL, token)
	alias := []libdns.Record{libdns.CNAME{Name: "alias", Target: "www.example.test."}}
	if _, err := p.AppendRecords(t.Context(), "example.test.", alias); err != nil {
		t.Fatal(err)
	}
	got, err := p.AppendRecords(t.Context(), "example.test.", append(txt("first", "x"), txt("alias", "x")...))
	if err == nil || !strings.Contains(err.Error(), "record alias.example.test. TXT: Cloudflare answers 400: An A, AAAA, or CNAME record with that host already exists. (81053)") {
		t.Error(err)
	}
	if len(got) != 1 || got[0].RR().Name != "first" {
		t.Errorf("%v", got)
	}
}

// TestSetAtomic: a set of which one record is refused changes nothing.
func TestSetAtomic(t *testing.T) {
	f := newFake(t, "example.test")
	p := block(t, f.URL, token)
	start := append(txt("a", "old"), libdns.CNAME{Name: "alias", Target: "www.example.test"})
	if _, err := p.AppendRecords(t.Context(), "example.test.", start); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetRecords(t.Context(), "example.test.", append(txt("a", "new"), txt("alias", "x")...)); err == nil {
		t.Error("a TXT record beside a CNAME")
	}
	if got := f.txt(t, "a.example.test."); !slices.Equal(got, []string{"old"}) {
		t.Errorf("%q", got)
	}
	f.calls = nil
	same := []libdns.Record{libdns.CNAME{Name: "alias", Target: "WWW.example.test."}}
	if _, err := p.SetRecords(t.Context(), "example.test.", same); err != nil || len(f.calls) != 1 {
		t.Errorf("a record that is right already is written again: %v, %q", err, f.calls)
	}
}

// TestTypes: what can be written comes back as it was.
func TestTypes(t *testing.T) {
	f := newFake(t, "example.test")
	p := block(t, f.URL, token)
	all := []libdns.Record{
		libdns.Address{Name: "a", IP: netip.MustParseAddr("192.0.2.1"), TTL: time.Hour},
		libdns.Address{Name: "a", IP: netip.MustParseAddr("2001:db8::1"), TTL: time.Hour},
		libdns.CNAME{Name: "c", Target: "www.example.test", TTL: time.Hour},
		libdns.MX{Name: "@", Preference: 10, Target: "mail.example.test", TTL: time.Hour},
		libdns.NS{Name: "sub", Target: "ns1.example.test", TTL: time.Hour},
	}
	if _, err := p.AppendRecords(t.Context(), "example.test.", all); err != nil {
		t.Fatal(err)
	}
	got, err := p.GetRecords(t.Context(), "example.test.")
	if err != nil || !slices.Equal(got, all) {
		t.Errorf("got  %v, %v\nwant %v", got, err, all)
	}
	for _, bad := range []libdns.RR{{Name: "x", Type: "TLSA", Data: "3 1 1 ab"}, {Name: "x", Type: "MX", Data: "mail"}, {Name: "x", Type: "MX", Data: "ten mail"}} {
		if _, err := p.AppendRecords(t.Context(), "example.test.", []libdns.Record{bad}); err == nil || !strings.Contains(err.Error(), "type "+bad.Type) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestShortTTL: a TTL that Cloudflare would refuse is raised, and what was
// added can be deleted as it was returned.
func TestShortTTL(t *testing.T) {
	f := newFake(t, "example.test")
	p := block(t, f.URL, token)
	short := []libdns.Record{libdns.TXT{Name: "a", Text: "x", TTL: 5 * time.Second}}
	got, err := p.AppendRecords(t.Context(), "example.test.", short)
	if err != nil || got[0].RR().TTL != time.Minute {
		t.Fatalf("%v, %v", got, err)
	}
	if gone, err := p.DeleteRecords(t.Context(), "example.test.", short); err != nil || len(gone) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
}

// TestP19Token: a token that is refused is explained and not shown, though the
// server echoes it.
func TestP19Token(t *testing.T) {
	f := newFake(t, "example.test")
	const other = "another-token-than-the-right-one"
	_, err := block(t, f.URL, other).AppendRecords(t.Context(), "example.test.", txt("a", "x"))
	if err == nil || strings.Contains(err.Error(), other) {
		t.Fatalf("P19: %v", err)
	}
	for _, want := range []string{"403", "Invalid access token Bearer (secret) (9109)", "Zone:DNS:Edit and Zone:Zone:Read"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// answers is an API that gives one answer to everything but the look-up of
// the zone.
func answers(t *testing.T, h http.HandlerFunc) *Cloudflare {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/zones" {
			yes(w, []zone{{"abc", "example.test"}}, nil)
			return
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return block(t, s.URL, token)
}

// TestHostile: whatever comes back, there is an error, soon, and no record is
// said to be added.
func TestHostile(t *testing.T) {
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"HTML", say(200, "<!DOCTYPE html><title>Sign in</title>"), "a page of HTML"},
		{"HTML 502", say(502, "<html>\n<h1>Bad gateway</h1>"), "502 Bad Gateway: a page of HTML"},
		{"empty", say(200, ""), "cannot be understood"},
		{"null", say(200, "null"), "answers 200"},
		{"array", say(200, "[]"), "cannot be understood"},
		{"success is text", say(200, `{"success": "true"}`), "cannot be understood"},
		{"no success", say(200, `{"success": false}`), "answers 200"},
		{"errors is text", say(400, `{"success": false, "errors": "many"}`), "answers 400"},
		{"deep", say(200, strings.Repeat("[", 100000)), "cannot be understood"},
		{"many errors", say(400, `{"success": false, "errors": [`+strings.Repeat(`{"code":1,"message":"a\u001b[1mb\nc"},`, 1000)+`{}]}`), "a?[1mb (1)"},
		{"rate", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "300")
			no(w, http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed")
		}, "throttling your request speed (971); there were too many requests"},
		{"permission", func(w http.ResponseWriter, _ *http.Request) {
			no(w, http.StatusForbidden, 10000, "Authentication error")
		}, "Authentication error (10000); api_token needs the permissions Zone:DNS:Edit and Zone:Zone:Read for example.test"},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			for range 64 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, "more than 1048576 octets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := answers(t, c.answer).AppendRecords(t.Context(), "example.test.", txt("a", "x"))
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 2000 || len(got) > 0 {
				t.Errorf("got  %v, %.3000v\nwant %s", got, err, c.want)
			}
		})
	}
}

// TestHostileList: lists that lie.
func TestHostileList(t *testing.T) {
	pages := 0
	for _, c := range []struct {
		name, body, want string
	}{
		{"wrong types", `[{"id": 5, "name": []}]`, "cannot be understood"},
		{"path as identifier", `[{"id": "../../user/tokens", "type": "TXT", "name": "a.example.test", "content": "\"x\""}]`, "without an identifier"},
		{"broken text", `[{"id": "1", "type": "TXT", "name": "a.example.test", "content": "\"x"}]`, "string that does not end"},
		{"no end", `[{"id": "1", "type": "TXT", "name": "b.example.test", "content": "\"x\""}]`, "more than 20000 records"},
	} {
		p := answers(t, func(w http.ResponseWriter, _ *http.Request) {
			pages++
			fmt.Fprintf(w, `{"success": true, "result": %s, "result_info": {"total_pages": 1000000}}`, c.body)
		})
		gone, err := p.DeleteRecords(t.Context(), "example.test.", txt("a", "x"))
		if err == nil || !strings.Contains(err.Error(), c.want) || len(gone) > 0 {
			t.Errorf("%s: %v, %v", c.name, gone, err)
		}
	}
	if pages > maxPages+10 {
		t.Errorf("%d pages were asked for", pages)
	}
	p := answers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			t.Error("a record of another name is deleted")
		}
		yes(w, []record{{ID: "1", Type: "TXT", Name: "b.example.test", Content: `"x"`}}, nil)
	})
	if gone, err := p.DeleteRecords(t.Context(), "example.test.", txt("a", "x")); err != nil || len(gone) > 0 {
		t.Errorf("%v, %v", gone, err)
	}
}

func TestTimeout(t *testing.T) {
	hang := make(chan struct{})
	p := answers(t, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	p.Timeout = 100 * time.Millisecond
	if _, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "x")); err == nil || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		attr   string
		change func(*Cloudflare)
	}{
		{"api_token", func(p *Cloudflare) { p.APIToken = appliance.NewSecret("") }},
		{"api_token", func(p *Cloudflare) { p.APIToken = appliance.NewSecret("a\r\nX-Evil: b") }},
		{"endpoint", func(p *Cloudflare) { p.Endpoint = "http://api.example.com" }},
		{"endpoint", func(p *Cloudflare) { p.Endpoint = "" }},
		{"timeout", func(p *Cloudflare) { p.Timeout = 0 }},
	} {
		p := New()
		p.APIToken = appliance.NewSecret(token)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		c.change(p)
		if attr, ok := errors.AsType[*appliance.AttrError](p.Validate()); !ok || attr.Attr != c.attr {
			t.Errorf("%s: %v", c.attr, attr)
		}
	}
}
