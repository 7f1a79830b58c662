package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

func good(q *dns.Msg) []byte { return reply(q, nil, "q.test. MX 10 good.test.", "", "") }

func evil(q *dns.Msg, change func(*dns.Msg)) []byte {
	return reply(q, change, "q.test. MX 10 evil.test.", "", "")
}

// TestTransport: what comes over UDP is used only if it is the whole answer to
// the question; for the rest there is TCP (N1, N14).
func TestTransport(t *testing.T) {
	const both = "udp MX q.test., tcp MX q.test."
	truncated := func(q *dns.Msg) [][]byte { return [][]byte{evil(q, func(m *dns.Msg) { m.Truncated = true })} }
	one := func(b func(q *dns.Msg) []byte) func(q *dns.Msg) [][]byte {
		return func(q *dns.Msg) [][]byte { return [][]byte{b(q)} }
	}
	for _, tc := range []struct {
		name  string
		udp   func(*dns.Msg) [][]byte
		tcp   func(*dns.Msg) []byte
		want  string
		kind  string
		asked string // "" is not looked at
	}{
		{"all of it", one(good), nil, "10 good.test.", "", "udp MX q.test."},
		{"N1 truncated", truncated, good, "10 good.test.", "", both},
		{"N1 truncated, TCP blocked", truncated, nil, "", "temporary", ""},
		{"N1 truncated, TCP cut", truncated, func(*dns.Msg) []byte { return nil }, "", "temporary", ""},
		{"truncated over TCP too", truncated, func(q *dns.Msg) []byte { return truncated(q)[0] }, "", "temporary", ""},
		{"another id", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Id++ }) }), good, "10 good.test.", "", both},
		{"another name", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Question[0].Name = "r.test." }) }), good, "10 good.test.", "", both},
		{"another type", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }) }), good, "10 good.test.", "", both},
		{"another class", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }) }), good, "10 good.test.", "", both},
		{"no question", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Question = nil }) }), good, "10 good.test.", "", both},
		{"the question itself", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Response = false }) }), good, "10 good.test.", "", both},
		{"another operation", one(func(q *dns.Msg) []byte { return evil(q, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }) }), good, "10 good.test.", "", both},
		{"noise", one(func(*dns.Msg) []byte { return []byte("SSH-2.0") }), good, "10 good.test.", "", both},
		{"cut off", one(func(q *dns.Msg) []byte { b := good(q); return b[:len(b)-3] }), good, "10 good.test.", "", both},
		{"N3 noise over TCP too", one(func(*dns.Msg) []byte { return []byte("SSH-2.0") }), func(*dns.Msg) []byte { return []byte("SSH-2.0") }, "", "temporary", ""},
		{"another case in the question", one(func(q *dns.Msg) []byte { q.Question[0].Name = "Q.TEST."; return good(q) }), nil, "10 good.test.", "", "udp MX q.test."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.udp, tc.tcp)
			got, err := resolverOf(t, s.addr).Query(t.Context(), "MX", "q.test")
			if show(got) != tc.want || kind(err) != tc.kind {
				t.Errorf("%q, %v", show(got), err)
			}
			if asked := s.asked(); tc.asked != "" && asked != tc.asked {
				t.Errorf("asked %s", asked)
			}
		})
	}
}

// TestN1TimeOut: a server that does not answer is asked in three rounds.
func TestN1TimeOut(t *testing.T) {
	s := serve(t, func(*dns.Msg) [][]byte { return nil }, nil)
	r := resolverOf(t, s.addr)
	r.rounds = []time.Duration{20 * time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond}
	_, err := r.Query(t.Context(), "MX", "q.test")
	if kind(err) != "time-out" || !strings.Contains(err.Error(), "the server does not answer") {
		t.Error(err)
	}
	if n := strings.Count(s.asked(), "udp"); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// TestQuestion is what goes over the wire: EDNS with room for 1232 octets, and
// the bits of DNSSEC only if anybody believes them.
func TestQuestion(t *testing.T) {
	for _, dnssec := range []bool{false, true} {
		questions := make(chan *dns.Msg, 10)
		s := serve(t, func(q *dns.Msg) [][]byte {
			questions <- q.Copy()
			return [][]byte{reply(q, authentic, "q.test. MX 10 good.test.", "", "")}
		}, nil)
		r := resolverOf(t, s.addr, func(c *appliance.ResolverContext) { c.Settings.DNSSEC = dnssec })
		answer, err := r.Query(t.Context(), "MX", "Q.Test.")
		if err != nil || answer.Secure != dnssec {
			t.Errorf("dnssec %t: %+v, %v", dnssec, answer, err)
		}
		got := <-questions
		opt := got.IsEdns0()
		if opt == nil || opt.UDPSize() != 1232 || opt.Do() != dnssec || got.AuthenticatedData != dnssec || got.CheckingDisabled || !got.RecursionDesired {
			t.Errorf("dnssec %t: %s", dnssec, got)
		}
	}
}

// TestOldServer: one that does not know EDNS is asked without.
func TestOldServer(t *testing.T) {
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		s := serve(t, func(q *dns.Msg) [][]byte {
			if q.IsEdns0() != nil {
				return [][]byte{reply(q, func(m *dns.Msg) { m.Rcode, m.Question = code, nil }, "", "", "")}
			}
			return [][]byte{good(q)}
		}, nil)
		if got, err := resolverOf(t, s.addr).Query(t.Context(), "MX", "q.test"); err != nil || show(got) != "10 good.test." {
			t.Errorf("%s: %q, %v", dns.RcodeToString[code], show(got), err)
		}
	}
}

// TestReasons: what the server says about a failure is passed on.
func TestReasons(t *testing.T) {
	s := serve(t, func(q *dns.Msg) [][]byte {
		return [][]byte{reply(q, func(m *dns.Msg) {
			m.Rcode = dns.RcodeServerFailure
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeSignatureExpired, ExtraText: "since\r\nMonday"}}
		}, "", "", "")}
	}, nil)
	_, err := resolverOf(t, s.addr).Query(t.Context(), "MX", "q.test")
	if err == nil || !strings.Contains(err.Error(), `SERVFAIL: Signature Expired ("since\r\nMonday")`) {
		t.Error(err)
	}
}

// several is a resolver that asks servers by name through the function.
func several(t *testing.T, conf string, ask func(server string, q question) (response, error)) *Resolver {
	t.Helper()
	r := onMachine(t, appliance.ResolverContext{}, conf, "")
	r.ask = func(_ context.Context, server netip.AddrPort, _ options, q question) (response, error) {
		return ask(server.Addr().String(), q)
	}
	return r
}

// says is a response to a question, as from the network.
func says(q question, change func(*dns.Msg), answer, authority string) response {
	m := new(dns.Msg).SetQuestion(q.name, q.typ)
	b := reply(m, change, answer, authority, "")
	r, err := parse(b, binary.BigEndian.Uint16(b), q)
	if err != nil {
		panic(err)
	}
	return r
}

// TestServers: who does not answer or cannot is passed over; who answered is
// asked first the next time; who has spoken is not asked again.
func TestServers(t *testing.T) {
	var asked []string
	behave := map[string]func(q question) (response, error){
		"192.0.2.1": func(question) (response, error) {
			return response{}, &net.OpError{Op: "read", Err: errors.New("refused")}
		},
		"192.0.2.2": func(q question) (response, error) { return says(q, rcode(dns.RcodeServerFailure), "", ""), nil },
		"192.0.2.3": func(q question) (response, error) { return says(q, nil, q.name+" A 192.0.2.9", ""), nil },
	}
	r := several(t, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4", func(server string, q question) (response, error) {
		asked = append(asked, server[len(server)-1:])
		return behave[server](q)
	})
	query := func(name, wantKind, wantAsked string) {
		t.Helper()
		asked = nil
		_, err := r.Query(t.Context(), "A", name)
		if kind(err) != wantKind || strings.Join(asked, "") != wantAsked {
			t.Errorf("asked %s: %v", strings.Join(asked, ""), err)
		}
	}
	query("a.test", "", "123")
	query("b.test", "", "3")
	behave["192.0.2.3"] = behave["192.0.2.1"]
	query("c.test", "temporary", "3123131")
	behave["192.0.2.2"] = func(q question) (response, error) { return says(q, rcode(dns.RcodeNameError), "", soa), nil }
	query("d.test", "not found", "312")
	query("e.test", "not found", "2")
}

// TestNamedServers: those of the setting are asked as those of the system are,
// and instead of them, until a reload names others.
func TestNamedServers(t *testing.T) {
	var asked []string
	dead := map[string]bool{"192.0.2.1": true}
	r := several(t, "nameserver 192.0.2.9", func(server string, q question) (response, error) {
		asked = append(asked, server[len(server)-1:])
		if dead[server] {
			return response{}, &net.OpError{Op: "read", Err: errors.New("refused")}
		}
		return says(q, nil, q.name+" A 192.0.2.7", ""), nil
	})
	query := func(name, want string) {
		t.Helper()
		asked = nil
		if _, err := r.Query(t.Context(), "A", name); err != nil || strings.Join(asked, "") != want {
			t.Errorf("asked %s, want %s: %v", strings.Join(asked, ""), want, err)
		}
	}
	query("a.test", "9")
	list := appliance.DNSServers{"192.0.2.1", "192.0.2.2", "192.0.2.3:5353"}
	r.Configure(appliance.Settings{Resolver: list})
	query("a.test", "12")
	query("b.test", "2")
	r.Configure(appliance.Settings{Resolver: slices.Clone(list), Hostname: "other.test"})
	query("b.test", "") // from the cache
	query("c.test", "2")
	dead["192.0.2.2"] = true
	query("d.test", "23")
	r.Configure(appliance.Settings{Resolver: list[1:]})
	query("d.test", "23") // others, who are asked from the beginning
	r.Configure(appliance.Settings{})
	query("d.test", "9")
}

func TestParseResolvConf(t *testing.T) {
	s := parseResolvConf(`# made by somebody
domain old.test
search A.test. b.test ; c.test
nameserver 192.0.2.1 # first
nameserver nonsense
nameserver 2001:db8::1
nameserver fe80::1%eth0
nameserver 192.0.2.4
options ndots:2 timeout:99 attempts:1 rotate ndots:x`)
	if got := s.list; len(got) != 3 || got[0].String() != "192.0.2.1:53" || got[1].String() != "[2001:db8::1]:53" || got[2].String() != "[fe80::1%eth0]:53" {
		t.Errorf("servers %v", got)
	}
	if !slices.Equal(s.search, []string{"a.test", "b.test"}) || s.ndots != 2 || s.timeout != maxTimeout {
		t.Errorf("search %v, ndots %d, timeout %s", s.search, s.ndots, s.timeout)
	}
	for name, want := range map[string]string{
		"x":      "x.a.test. x.b.test. x.",
		"x.y":    "x.y.a.test. x.y.b.test. x.y.",
		"x.y.z":  "x.y.z. x.y.z.a.test. x.y.z.b.test.",
		"x.":     "x.",
		"x.y.z.": "x.y.z.",
	} {
		if got := strings.Join(s.names(name), " "); got != want {
			t.Errorf("%s stands for %s, want %s", name, got, want)
		}
	}
	if got := parseResolvConf("").list; len(got) != 2 || got[0].String() != "127.0.0.1:53" {
		t.Errorf("without servers: %v", got)
	}
}

// TestSystemChanges: resolv.conf is read again when it has changed.
func TestSystemChanges(t *testing.T) {
	var asked string
	r := several(t, "nameserver 192.0.2.1", func(server string, q question) (response, error) {
		asked = server
		return says(q, nil, q.name+" A 192.0.2.9", ""), nil
	})
	if _, err := r.Query(t.Context(), "A", "a.test"); err != nil || asked != "192.0.2.1" {
		t.Fatal(asked, err)
	}
	write(t, r.system.path, "nameserver 192.0.2.22")
	r.system.looked = time.Now().Add(-lookAgain)
	if _, err := r.Query(t.Context(), "A", "b.test"); err != nil || asked != "192.0.2.22" {
		t.Error(asked, err)
	}
}

// TestServersAreTold: who is asked can be said, whoever has chosen them.
func TestServersAreTold(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "resolv.conf")
	write(t, conf, "nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
	r := open(appliance.ResolverContext{}, conf, filepath.Join(dir, "hosts"))
	defer r.Close()
	if got := fmt.Sprint(r.Servers()); got != "[192.0.2.1:53 [2001:db8::1]:53]" {
		t.Errorf("those of the system: %s", got)
	}
	r.Configure(appliance.Settings{Resolver: appliance.DNSServers{"127.0.0.1:5353"}})
	if got := fmt.Sprint(r.Servers()); got != "[127.0.0.1:5353]" {
		t.Errorf("those of the setting: %s", got)
	}
	r.Configure(appliance.Settings{Resolver: appliance.DNSServers{"nonsense"}})
	if got := r.Servers(); got != nil {
		t.Errorf("a setting that cannot be read: %v", got)
	}
}
