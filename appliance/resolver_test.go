package appliance

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseDNSServer(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"10.0.0.53", "10.0.0.53:53"},
		{"127.0.0.1:5353", "127.0.0.1:5353"},
		{"2001:db8::53", "[2001:db8::53]:53"},
		{"[2001:db8::53]:5353", "[2001:db8::53]:5353"},
		{"dns.example.com", ""},
		{"dns.example.com:53", ""},
		{"10.0.0.53:0", ""},
		{"10.0.0.53:", ""},
		{":53", ""},
	} {
		got, err := ParseDNSServer(tc.in)
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("%q is %s, an error was expected", tc.in, got)
		case tc.want == "" && !strings.Contains(err.Error(), `write "10.0.0.53"`):
			t.Errorf("%q: %v does not say what to write", tc.in, err)
		case tc.want != "" && got.String() != tc.want:
			t.Errorf("%q: %s (%v), want %s", tc.in, got, err, tc.want)
		}
	}
}

// TestDNSServers: each server once, in the order in which they are written.
func TestDNSServers(t *testing.T) {
	nine := strings.Fields("::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9")
	for _, tc := range []struct {
		in   DNSServers
		want string
	}{
		{nil, "[]"},
		{DNSServers{"10.0.0.53"}, "[10.0.0.53:53]"},
		{DNSServers{"::2", "10.0.0.53:5353", "10.0.0.53"}, "[[::2]:53 10.0.0.53:5353 10.0.0.53:53]"},
		{DNSServers{"10.0.0.53", "dns.example.com"}, `"dns.example.com" is not the IP address`},
		{DNSServers{"10.0.0.53", "10.0.0.53:53"}, `"10.0.0.53:53" is there twice`},
		{DNSServers{""}, `"" is not the IP address`},
		{nine[:8], "[[::1]:53 [::2]:53 [::3]:53 [::4]:53 [::5]:53 [::6]:53 [::7]:53 [::8]:53]"},
		{nine, "there are 9 DNS servers, at most 8 are allowed"},
	} {
		all, err := tc.in.Parse()
		if got := fmt.Sprint(all, err); !strings.Contains(got, tc.want) || (err == nil) != strings.HasPrefix(tc.want, "[") {
			t.Errorf("%q: %s, want %s", []string(tc.in), got, tc.want)
		}
	}
}

// fakeStub is a StubResolver that writes down what happens to it.
type fakeStub struct {
	StubResolver
	d *diary
}

func (s fakeStub) Configure(set Settings) { s.d.add("resolver:configure(%s)", set.Resolver) }
func (s fakeStub) Close() error           { s.d.add("resolver:close"); return nil }

// TestResolverLife: the resolver is there before the first module and until
// the last is closed, and a reload configures it when it has succeeded.
func TestResolverLife(t *testing.T) {
	p := newPlant()
	a := New(p.graph(), Options{
		NewEngine: func(EngineContext) Engine { return &fakeEngine{d: p.d} },
		NewResolver: func(c ResolverContext) StubResolver {
			if c.Metrics == nil || c.Log == nil {
				t.Error("no metrics or no log")
			}
			p.d.add("resolver:new(%s)", c.Settings.Mode)
			return fakeStub{d: p.d}
		},
	})
	p.expect(t, "resolver:new(live)")
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.context(p.graph(), p.relay).Resolver.(Querier); !ok {
		t.Error("modules do not get a Querier")
	}
	p.d.take()
	next := p.graph()
	next.Settings.Resolver = DNSServers{"192.0.2.53", "192.0.2.54"}
	if err := a.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "engine:configure resolver:configure(192.0.2.53, 192.0.2.54)")
	p.setRelay("relay2", "2")
	p.relay.Module.(*part).fail = "start"
	if err := a.Reload(t.Context(), p.graph()); err == nil {
		t.Fatal("no error")
	}
	p.expect(t, "relay2:provision relay2:start relay2:close")
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	p.expect(t, "in:stop engine:stop relay:stop store:stop store:close in:close relay:close resolver:close")
}
