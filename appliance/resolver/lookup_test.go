package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

const testHosts = `
127.0.0.1	localhost
192.0.2.10  Relay relay.Example.test # the next hop
2001:db8::10 relay
192.0.2.11 relay
::ffff:192.0.2.12 mapped
nonsense relay
192.0.2.13 # nobody
`

// known is a DNS of "TYPE name" to answers, "SERVFAIL" and "" among them.
type known map[string]string

func (k known) ask(_ string, q question) (response, error) {
	answer, ok := k[dns.TypeToString[q.typ]+" "+q.name]
	switch {
	case answer == "SERVFAIL":
		return says(q, rcode(dns.RcodeServerFailure), "", ""), nil
	case !ok:
		return says(q, rcode(dns.RcodeNameError), "", soa), nil
	case answer == "":
		return says(q, nil, "", soa), nil
	}
	var text strings.Builder
	for a := range strings.SplitSeq(answer, ", ") {
		fmt.Fprintf(&text, "%s %s %s\n", q.name, dns.TypeToString[q.typ], a)
	}
	return says(q, nil, text.String(), ""), nil
}

// TestLookups: the methods of net.Resolver, with its semantics.
func TestLookups(t *testing.T) {
	k := known{
		"A both.test.": "192.0.2.1, 192.0.2.2", "AAAA both.test.": "2001:db8::1",
		"A four.test.": "192.0.2.4", "AAAA four.test.": "",
		"A half.test.": "192.0.2.5", "AAAA half.test.": "SERVFAIL",
		"A broken.test.": "", "AAAA broken.test.": "SERVFAIL",
		"A in.search.test.": "192.0.2.6", "AAAA in.search.test.": "",
		"A shaky.search.test.": "SERVFAIL", "AAAA shaky.search.test.": "SERVFAIL",
		"A relay.away.test.": "SERVFAIL", "AAAA relay.away.test.": "", "TXT relay.away.test.": "SERVFAIL",
		"A relay.away.test.search.test.": "192.0.2.66", "AAAA relay.away.test.search.test.": "", "TXT relay.away.test.search.test.": `"x"`,
		"A gone.away.test.search.test.": "192.0.2.67", "AAAA gone.away.test.search.test.": "",
		"MX m.test.": "20 b.test., 10 a.test.", "MX bad.test.": "10 a.test., 5 b!.test.",
		"TXT t.test.": `"one" "two"`, "PTR 9.2.0.192.in-addr.arpa.": "host.test.",
		"PTR 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": "six.test., b!d.test.",
	}
	r := onMachine(t, appliance.ResolverContext{}, "nameserver 192.0.2.53\nsearch search.test\n", testHosts)
	r.ask = func(_ context.Context, _ netip.AddrPort, _ options, q question) (response, error) {
		return k.ask("", q)
	}
	ip := func(network, host string) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) { return r.LookupNetIP(ctx, network, host) }
	}
	mx := func(name string) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			all, err := r.LookupMX(ctx, name)
			return show(appliance.DNSAnswer{MX: all}), err
		}
	}
	ptr := func(addr string) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) { return r.LookupAddr(ctx, addr) }
	}
	txt := func(name string) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) { return r.LookupTXT(ctx, name) }
	}
	for _, tc := range []struct {
		name string
		ask  func(context.Context) (any, error)
		want string
		kind string
	}{
		{"both families", ip("ip", "both.test."), "[192.0.2.1 192.0.2.2 2001:db8::1]", ""},
		{"one family", ip("ip6", "both.test."), "[2001:db8::1]", ""},
		{"the other has none", ip("ip", "four.test."), "[192.0.2.4]", ""},
		{"none of this family", ip("ip6", "four.test."), "[]", "not found"},
		{"one family is enough", ip("ip", "half.test."), "[192.0.2.5]", ""},
		{"a failure is not nothing", ip("ip", "broken.test."), "[]", "temporary"},
		{"no such name", ip("ip", "gone.test."), "[]", "not found"},
		{"no name", ip("ip", "a b."), "[]", "not found"},
		{"the empty name", ip("ip", ""), "[]", "not found"},
		{"a label too long", ip("ip", strings.Repeat("a", 64)+".test."), "[]", "not found"},
		{"an address", ip("ip4", "192.0.2.99"), "[192.0.2.99]", ""},
		{"an address of the other family", ip("ip6", "192.0.2.99"), "[]", "not found"},
		{"another network", ip("tcp", "both.test."), "[]", "no DNSError: unknown network tcp"},

		{"searched for", ip("ip", "in"), "[192.0.2.6]", ""},
		{"not searched for", ip("ip", "in."), "[]", "not found"},
		{"complete without dot", ip("ip", "four.test"), "[192.0.2.4]", ""},
		{"not known of all that it may stand for", ip("ip", "shaky"), "[]", "temporary"},

		{"not searched for while it cannot be known", ip("ip", "relay.away.test"), "[]", "temporary"},
		{"not searched for while it cannot be known, TXT", txt("relay.away.test"), "[]", "temporary"},
		{"searched for because it does not exist", ip("ip", "gone.away.test"), "[192.0.2.67]", ""},

		{"hosts", ip("ip", "RELAY."), "[192.0.2.10 192.0.2.11 2001:db8::10]", ""},
		{"hosts, one family", ip("ip6", "relay"), "[2001:db8::10]", ""},
		{"hosts, no such family", ip("ip6", "relay.example.test."), "[]", "not found"},
		{"hosts, mapped", ip("ip", "mapped."), "[192.0.2.12]", ""},
		{"localhost", ip("ip", "localhost."), "[127.0.0.1]", ""},
		{"a name below localhost", ip("ip", "x.localhost."), "[127.0.0.1 ::1]", ""},

		{"MX", mx("m.test."), "10 a.test., 20 b.test.", ""},
		{"N3 the good MX and an error", mx("bad.test."), "10 a.test.", "temporary"},
		{"no MX", mx("four.test."), "", "not found"},
		{"TXT", txt("t.test."), "[onetwo]", ""},
		{"PTR", ptr("192.0.2.9"), "[host.test.]", ""},
		{"PTR of IPv6", ptr("2001:db8::1"), "[six.test.]", "temporary"},
		{"PTR of nothing", ptr("192.0.2.8"), "[]", "not found"},
		{"PTR in hosts", ptr("192.0.2.10"), "[Relay. relay.Example.test.]", ""},
		{"PTR of no address", ptr("example"), "[]", "not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.ask(t.Context())
			if fmt.Sprint(got) != tc.want || kind(err) != tc.kind {
				t.Errorf("%v, %v; want %s, %q", got, err, tc.want, tc.kind)
			}
		})
	}
}

// TestHosts: a name in the hosts file is not asked for, is insecure, and
// follows the file.
func TestHosts(t *testing.T) {
	s := serve(t, func(q *dns.Msg) [][]byte {
		return [][]byte{reply(q, authentic, q.Question[0].Name+" A 192.0.2.66", "", "")}
	}, nil)
	r := resolverOf(t, s.addr, believe)
	path := filepath.Join(t.TempDir(), "hosts")
	write(t, path, "192.0.2.1 relay.test")
	r.hosts.path = path
	check := func(want string, secure bool) {
		t.Helper()
		got, err := r.Query(t.Context(), "A", "relay.test")
		if err != nil || show(got) != want || got.Secure != secure {
			t.Errorf("%+v, %v", got, err)
		}
	}
	check("192.0.2.1", false)
	write(t, path, "192.0.2.2 relay.test # changed")
	check("192.0.2.1", false)
	later := func() { r.hosts.mu.Lock(); r.hosts.looked = time.Now().Add(-lookAgain); r.hosts.mu.Unlock() }
	later()
	check("192.0.2.2", false)
	write(t, path, "")
	later()
	check("192.0.2.66", true)
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, func(q *dns.Msg) [][]byte {
		return [][]byte{reply(q, func(m *dns.Msg) {
			if q.Question[0].Name == "gone.test." {
				m.Rcode = dns.RcodeNameError
			}
		}, "q.test. A 192.0.2.1", "", "")}
	}, nil)
	r := resolverOf(t, s.addr, func(c *appliance.ResolverContext) { c.Metrics = reg })
	for _, name := range []string{"q.test", "q.test", "q.test", "gone.test"} {
		r.Query(t.Context(), "A", name)
	}
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP waxwing_dns_cache_hits_total Look-ups answered without a question to a DNS server.
# TYPE waxwing_dns_cache_hits_total counter
waxwing_dns_cache_hits_total 2
# HELP waxwing_dns_queries_total Questions to DNS servers, by what came back.
# TYPE waxwing_dns_queries_total counter
waxwing_dns_queries_total{result="noerror"} 1
waxwing_dns_queries_total{result="nxdomain"} 1
`), "waxwing_dns_queries_total", "waxwing_dns_cache_hits_total")
	if err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
