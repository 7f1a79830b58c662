package spf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// decisions are the results that a term of a record has decided.
var decisions = []Verdict{Pass, Fail, SoftFail, Neutral}

// TestAgree makes small worlds of records that include and redirect to each
// other, and holds that the walk comes to what the library says wherever a
// term decides, and that the term it names says so.
func TestAgree(t *testing.T) {
	const worlds = 1500
	decided := 0
	for seed := range uint64(worlds) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 7208)))
		for _, ip := range []string{"192.0.2.1", "203.0.113.7", "2001:db8::2"} {
			q := Query{IP: netip.MustParseAddr(ip), HELO: "mail.d0.example", From: appliance.Mailbox{Local: "app", Domain: "d0.example"}}
			e := newEvaluation(t.Context(), w, q)
			official, err := e.official()
			if !slices.Contains(decisions, official) {
				continue
			}
			decided++
			if problem := e.disagrees(official); problem != "" {
				t.Fatalf("world %d, %s: the library says %s (%v); %s\n%v", seed, ip, official, err, problem, w.records)
			}
		}
	}
	if decided < worlds {
		t.Errorf("a term has decided %d times", decided)
	}
}

// disagrees says what the walk has otherwise.
func (e *evaluation) disagrees(official Verdict) string {
	res := new(Result)
	w := &walker{evaluation: e, res: res, counted: make(map[string]int)}
	switch got := w.domainAt(e.domain, 0); {
	case got != official:
		return fmt.Sprintf("the walk says %s by %q of %s", got, res.Mechanism, res.At)
	case res.Mechanism == "" && official == Neutral: // nothing has matched
		return ""
	case res.Mechanism == "":
		return "the walk names no term"
	}
	if says, _, _ := split(res.Mechanism); says != official && res.At == e.domain {
		return fmt.Sprintf("the walk names %q, which says %s", res.Mechanism, says)
	}
	return ""
}

// randomWorld has five domains, d0.example to d4.example.
func randomWorld(r *rand.Rand) *world {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	domain := func() string { return fmt.Sprintf("d%d.example", r.IntN(5)) }
	w := &world{records: make(map[string]map[string][]string)}
	for i := range 5 {
		terms := []string{pick("v=spf1", "V=SPF1")}
		for range r.IntN(5) {
			terms = append(terms, pick("", "", "+", "-", "~", "?")+pick(
				"a", "A:"+domain(), "mx", "mx:"+domain()+"//64", "a/24", "a:"+domain()+"/25//64", "ip4:192.0.2.0/26", "ip4:203.0.113.7",
				"ip6:2001:db8::/32", "Include:"+domain(), "include:"+domain(), "exists:%{i}.x.example", "exists:%{d}", "include:d%{d1r}.example", "ptr", "ptr:"+domain()))
		}
		if r.IntN(2) == 0 {
			terms = append(terms, pick("-", "~", "?", "+", "")+"all")
		}
		if r.IntN(3) == 0 {
			terms = slices.Insert(terms, 1+r.IntN(len(terms)), pick("redirect=", "Redirect=")+domain())
		}
		if r.IntN(4) == 0 {
			terms = append(terms, pick("exp=why.example", "x-unknown=%{d}"))
		}
		records := map[string][]string{"A": {fmt.Sprintf("192.0.2.%d", 1+r.IntN(80))}, "MX": {"10 " + domain()}}
		if r.IntN(3) > 0 {
			records["AAAA"] = []string{"2001:db8::2"}
		}
		if r.IntN(8) > 0 {
			records["TXT"] = []string{strings.Join(terms, pick(" ", "  "))}
		}
		w.records[fmt.Sprintf("d%d.example", i)] = records
	}
	return w
}
