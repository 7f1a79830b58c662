package resolver

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// show writes an answer as the tables have it.
func show(a appliance.DNSAnswer) string {
	var all []string
	for _, ip := range a.Addrs {
		all = append(all, ip.String())
	}
	for _, mx := range a.MX {
		all = append(all, fmt.Sprintf("%d %s", mx.Pref, mx.Host))
	}
	for _, s := range a.Texts {
		all = append(all, fmt.Sprintf("%q", s))
	}
	for _, t := range a.TLSA {
		all = append(all, fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.MatchingType, t.Data))
	}
	return strings.Join(all, ", ")
}

// TestAnswers is what is made of what a server says (N1, N3, N14).
func TestAnswers(t *testing.T) {
	const notFound, temporary = "not found", "temporary"
	for _, tc := range []struct {
		name                          string
		typ                           appliance.QueryType
		change                        func(*dns.Msg)
		answer, authority, additional string
		want                          string // records
		kind                          string // of error
		at                            string // Name; "" is the question
	}{
		{name: "MX", typ: "MX", answer: "q.test. MX 20 B.test.\nq.test. MX 10 a.test.", want: "10 a.test., 20 b.test."},
		{name: "the case of the owner does not matter", typ: "A", answer: "Q.Test. A 192.0.2.1", want: "192.0.2.1"},
		{name: "null MX", typ: "MX", answer: "q.test. MX 0 .", want: "0 ."},
		{name: "TXT", typ: "TXT", answer: `q.test. TXT "a\"\\b" "\195\164"`, want: `"a\"\\bä"`},
		{name: "TLSA", typ: "TLSA", answer: "q.test. TLSA 3 1 1 0102", want: "3 1 1 0102"},
		{name: "PTR", typ: "PTR", answer: "q.test. PTR a.test.", want: `"a.test."`},
		{name: "AAAA", typ: "AAAA", answer: "q.test. AAAA 2001:db8::1", want: "2001:db8::1"},

		{name: "N1 NXDOMAIN", typ: "MX", change: rcode(dns.RcodeNameError), authority: soa, kind: notFound},
		{name: "N1 NODATA", typ: "MX", authority: soa, kind: notFound},
		{name: "N1 NODATA without SOA", typ: "MX", kind: notFound},
		{name: "N1 SERVFAIL", typ: "MX", change: rcode(dns.RcodeServerFailure), kind: temporary},
		{name: "N1 SERVFAIL with SOA", typ: "MX", change: rcode(dns.RcodeServerFailure), authority: soa, kind: temporary},
		{name: "N1 REFUSED", typ: "MX", change: rcode(dns.RcodeRefused), kind: temporary},
		{name: "N1 FORMERR", typ: "MX", change: rcode(dns.RcodeFormatError), kind: temporary},
		{name: "N1 a code nobody knows", typ: "MX", change: rcode(11), kind: temporary},
		{name: "N1 a referral is no answer", typ: "MX", authority: "test. NS ns.test.", kind: temporary},
		{name: "N1 a server that asks nobody", typ: "MX", change: func(m *dns.Msg) { m.RecursionAvailable = false }, kind: temporary},

		{name: "alias", typ: "MX", answer: "q.test. CNAME r.test.\nr.test. MX 10 a.test.", want: "10 a.test.", at: "r.test"},
		{name: "aliases in any order", typ: "A", answer: "s.test. A 192.0.2.1\nr.test. CNAME s.test.\nq.test. CNAME r.test.", want: "192.0.2.1", at: "s.test"},
		{name: "DNAME and the CNAME made of it", typ: "A", answer: "test. DNAME example.\nq.test. CNAME q.example.\nq.example. A 192.0.2.1", want: "192.0.2.1", at: "q.example"},
		{name: "alias of nothing", typ: "A", change: rcode(dns.RcodeNameError), answer: "q.test. CNAME r.test.", authority: soa, kind: notFound, at: "r.test"},
		{name: "alias of a name without such records", typ: "A", answer: "q.test. CNAME r.test.", authority: soa, kind: notFound, at: "r.test"},
		{name: "aliases in a circle", typ: "A", answer: "q.test. CNAME r.test.\nr.test. CNAME q.test.", kind: temporary},
		{name: "alias of itself", typ: "A", answer: "q.test. CNAME q.test.", kind: temporary},
		{name: "alias into a zone of RFC 2317", typ: "PTR", answer: "q.test. CNAME 1.0/25.2.0.192.in-addr.arpa.\n1.0/25.2.0.192.in-addr.arpa. PTR a.test.", want: `"a.test."`, at: "1.0/25.2.0.192.in-addr.arpa"},
		{name: "alias of no host", typ: "A", answer: "q.test. CNAME a/b.test.", kind: temporary},
		{name: "alias of no name", typ: "A", answer: "q.test. CNAME a!b.test.", kind: temporary},

		{name: "N14 MX of another name beside", typ: "MX", answer: "other.test. MX 1 evil.test.\nq.test. MX 10 a.test.", additional: "q.test. MX 0 evil.test.\na.test. A 192.0.2.66", want: "10 a.test."},
		{name: "N14 nothing but another name", typ: "MX", answer: "other.test. MX 1 evil.test.", kind: notFound},
		{name: "N14 only in the additional section", typ: "MX", authority: soa, additional: "q.test. MX 1 evil.test.", kind: notFound},
		{name: "N14 only in the authority section", typ: "MX", authority: soa + "\nq.test. MX 1 evil.test.", kind: notFound},
		{name: "N14 an alias beside the way", typ: "A", answer: "q.test. A 192.0.2.1\nother.test. CNAME evil.test.\nevil.test. A 192.0.2.66", want: "192.0.2.1"},
		{name: "N14 another class", typ: "A", answer: "q.test. CH A 192.0.2.1", authority: soa, kind: notFound},

		{name: "N3 names that are none", typ: "MX", answer: "q.test. MX 1 a!b.test.\nq.test. MX 2 good.test.\nq.test. MX 3 bad!.test.", want: "2 good.test."},
		{name: "N3 nothing but names that are none", typ: "MX", answer: "q.test. MX 1 bad!.test.", kind: temporary},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := func(q *dns.Msg) [][]byte {
				return [][]byte{reply(q, tc.change, tc.answer, tc.authority, tc.additional)}
			}
			s := serve(t, answer, func(q *dns.Msg) []byte { return answer(q)[0] })
			got, err := resolverOf(t, s.addr).Query(t.Context(), tc.typ, "q.test")
			if show(got) != tc.want || kind(err) != tc.kind {
				t.Errorf("%q, %v; want %q, %s", show(got), err, tc.want, tc.kind)
			}
			if at := cmp.Or(tc.at, "q.test"); tc.kind != temporary && got.Name != at {
				t.Errorf("found at %q", got.Name)
			}
			if err != nil && !strings.Contains(err.Error(), "q.test") {
				t.Errorf("%v does not name the name", err)
			}
			if kind(err) == temporary && !strings.Contains(err.Error(), s.addr) {
				t.Errorf("%v does not name the server", err)
			}
		})
	}
}

// TestN3Malformed: records whose data are too short or too long are left out,
// and the others are used.
func TestN3Malformed(t *testing.T) {
	raw := func(typ uint16, data string) *dns.RFC3597 {
		return &dns.RFC3597{Hdr: dns.RR_Header{Name: "q.test.", Rrtype: typ, Class: dns.ClassINET, Ttl: 60}, Rdata: data}
	}
	for _, tc := range []struct {
		name string
		typ  appliance.QueryType
		data []string // hexadecimal
		want string
		kind string
	}{
		{"MX without name", "MX", []string{"000a", "000a016100"}, "10 a.", ""},
		{"MX with octets behind", "MX", []string{"000a01610000", "000a016200"}, "10 b.", ""},
		{"MX that points beyond", "MX", []string{"000ac3ff", "000a016200"}, "10 b.", ""},
		{"MX that points at itself", "MX", []string{"000ac02c", "000a016200"}, "10 b.", ""},
		{"MX without anything", "MX", []string{""}, "", "temporary"},
		{"A of 3 and 5 octets", "A", []string{"c00002", "c000020101", "c0000201"}, "192.0.2.1", ""},
		{"A of 16 octets", "A", []string{"00000000000000000000ffffc0000201"}, "", "temporary"},
		{"TXT that is longer than it is", "TXT", []string{"0561", "0161"}, `"a"`, ""},
		{"TLSA of 0, 2 and 3 octets", "TLSA", []string{"", "0301", "030101"}, "255 255 255 , 255 255 255 , 3 1 1 ", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := func(q *dns.Msg) []byte {
				return reply(q, func(m *dns.Msg) {
					for _, data := range tc.data {
						m.Answer = append(m.Answer, raw(q.Question[0].Qtype, data))
					}
				}, "", "", "")
			}
			s := serve(t, func(q *dns.Msg) [][]byte { return [][]byte{answer(q)} }, answer)
			got, err := resolverOf(t, s.addr).Query(t.Context(), tc.typ, "q.test")
			if show(got) != tc.want || kind(err) != tc.kind {
				t.Errorf("%q, %v; want %q, %s", show(got), err, tc.want, tc.kind)
			}
		})
	}
}

// TestN3Many: of 6,000 mail exchangers the best are kept.
func TestN3Many(t *testing.T) {
	answer := func(q *dns.Msg) []byte {
		return reply(q, func(m *dns.Msg) {
			m.Compress = true
			for i := range 3000 {
				m.Answer = append(m.Answer, records(fmt.Sprintf("q.test. MX %d m%d.q.test.", 3000-i, i))...)
			}
		}, "", "", "")
	}
	s := serve(t, func(q *dns.Msg) [][]byte {
		return [][]byte{reply(q, func(m *dns.Msg) { m.Truncated = true }, "", "", "")}
	}, answer)
	got, err := resolverOf(t, s.addr).Query(t.Context(), "MX", "q.test")
	if err != nil || len(got.MX) != maxUsed || got.MX[0].Pref != 1 || got.MX[maxUsed-1].Pref != maxUsed {
		t.Errorf("%d records, %v", len(got.MX), err)
	}
	if s.asked() != "udp MX q.test., tcp MX q.test." {
		t.Error("asked otherwise")
	}
}

// TestAskingOn: an alias whose target is not in the message is asked for, and
// the answer is as secure and as lasting as the weakest step.
func TestAskingOn(t *testing.T) {
	answer := func(q *dns.Msg) [][]byte {
		switch q.Question[0].Name {
		case "q.test.":
			return [][]byte{reply(q, authentic, "q.test. 30 CNAME r.test.", "", "")}
		case "r.test.":
			return [][]byte{reply(q, nil, "r.test. 60 CNAME s.test.", "", "")}
		case "s.test.":
			return [][]byte{reply(q, authentic, "s.test. 90 A 192.0.2.1", "", "")}
		case ".":
			return [][]byte{reply(q, authentic, ". NS ns.test.", "", "")}
		}
		return nil
	}
	s := serve(t, answer, nil)
	r := resolverOf(t, s.addr, believe)
	got, err := r.Query(t.Context(), "A", "q.test")
	if err != nil || show(got) != "192.0.2.1" || got.Name != "s.test" || got.Secure {
		t.Errorf("%+v, %v", got, err)
	}
	if left := time.Until(got.Expires); left > 30*time.Second || left < 20*time.Second {
		t.Errorf("good for %s", left)
	}
	if got, err := r.Query(t.Context(), "A", "s.test."); err != nil || !got.Secure {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAliasesWithoutEnd: a server that invents one more alias each time is
// left after a few.
func TestAliasesWithoutEnd(t *testing.T) {
	s := serve(t, func(q *dns.Msg) [][]byte {
		name := q.Question[0].Name
		return [][]byte{reply(q, nil, name+" CNAME x"+name, "", "")}
	}, nil)
	_, err := resolverOf(t, s.addr).Query(t.Context(), "A", "q.test")
	if kind(err) != "temporary" || !strings.Contains(err.Error(), "too many aliases") {
		t.Error(err)
	}
	if n := strings.Count(s.asked(), "udp"); n != maxAliases+1 {
		t.Errorf("asked %d times", n)
	}
}
