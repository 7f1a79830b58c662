package resolver

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzAnswer: whatever a server sends, what is made of it keeps within its
// limits, and a result is an answer, certainly nothing, or a failure.
func FuzzAnswer(f *testing.F) {
	types := []uint16{dns.TypeMX, dns.TypeA, dns.TypeTXT, dns.TypeTLSA, dns.TypePTR, dns.TypeAAAA}
	for i, answer := range []string{
		"q.test. MX 10 a.test.\nq.test. MX 0 .", "q.test. CNAME r.test.\nr.test. A 192.0.2.1", `q.test. TXT "a" "b"`,
		"q.test. TLSA 3 1 1 0102", "q.test. PTR a.test.", "q.test. CNAME r.test.\nr.test. CNAME q.test.",
	} {
		q := new(dns.Msg).SetQuestion("q.test.", types[i])
		b := reply(q, authentic, answer, soa, "")
		f.Add(uint8(i), b[2:])
		f.Add(uint8(i), reply(q, rcode(dns.RcodeNameError), "", soa, "")[2:])
	}
	f.Fuzz(func(t *testing.T, i uint8, rest []byte) {
		q := question{types[int(i)%len(types)], "q.test."}
		msg := append(binary.BigEndian.AppendUint16(nil, 7), rest...)
		m, err := parse(msg, 7, q)
		if err != nil || m.truncated {
			return
		}
		_ = m.words()
		c := &chain{settings: settings{dnssec: true}, q: q, at: q.name, ttl: math.MaxUint32, secure: true}
		res, done, err := c.follow(m)
		switch {
		case err != nil:
			return
		case !done && (c.at == q.name || !validName(c.at)):
			t.Fatalf("asks on for %q", c.at)
		case !done:
			return
		}
		a := res.answer
		n := len(a.Addrs) + len(a.MX) + len(a.Texts) + len(a.TLSA)
		switch {
		case (n == 0) != (res.err != nil), res.err != nil && !res.err.IsNotFound, n > maxUsed:
			t.Fatalf("%d records, %v", n, res.err)
		case res.keep < 0 || res.keep > 24*time.Hour:
			t.Fatalf("kept for %s", res.keep)
		case a.Secure && !m.authentic:
			t.Fatal("secure without AD")
		}
		for _, mx := range a.MX {
			if mx.Host != "." && !validName(mx.Host) {
				t.Fatalf("MX %q", mx.Host)
			}
		}
	})
}
