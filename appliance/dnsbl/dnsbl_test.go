package dnsbl

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A world is a DNS of names below a list: lines of "name A 127.0.0.2" and
// "name TXT words". "name A -" fails, "name A silent" has no answer until the
// context ends.
type world struct {
	lines []string
	mu    sync.Mutex
	asked []string
}

func dnsOf(lines string) *world { return &world{lines: strings.Split(lines, "\n")} }

func (w *world) find(ctx context.Context, name, typ string) (values []string, err error) {
	w.mu.Lock()
	w.asked = append(w.asked, name+" "+typ)
	w.mu.Unlock()
	for _, line := range w.lines {
		owner, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, ok := strings.CutPrefix(rest, typ+" ")
		if !ok || owner+"." != name && (owner[0] != '*' || !strings.HasSuffix(name, owner[1:]+".")) {
			continue
		}
		switch value {
		case "-":
			return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
		case "silent":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		values = append(values, value)
	}
	if values == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return values, nil
}

func (w *world) LookupNetIP(ctx context.Context, network, name string) (all []netip.Addr, err error) {
	if network != "ip4" {
		panic(network)
	}
	values, err := w.find(ctx, name, "A")
	for _, v := range values {
		all = append(all, netip.MustParseAddr(v))
	}
	return all, err
}

func (w *world) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return w.find(ctx, name, "TXT")
}

var (
	four = netip.MustParseAddr("203.0.113.5")
	six  = netip.MustParseAddr("2001:db8:1:2:3:4:567:89ab")
)

const (
	fourName = "5.113.0.203."
	sixName  = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2." // RFC 5782, section 2.4
	works    = "2.0.0.127.bl.test A 127.0.0.2\n"
	works6   = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test A 127.0.0.2\n"
)

func testList() List {
	return List{Zone: "bl.test", IPv4: true, IPv6: true, Domains: true,
		Codes: map[string]Meaning{"127.0.0.4": {Text: "exploited"}, "127.0.0.10": {Fix: "ask your provider"}}, Refusals: map[string]string{"127.0.1.255": "it wants a domain"}}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		dns  string
		ip   netip.Addr
		want string // what Text says, and after " ⇒ " the fix begins so
	}{
		"not listed":    {works, four, "bl.test does not list 203.0.113.5"},
		"as IPv4 in 6":  {works, netip.MustParseAddr("::ffff:203.0.113.5"), "bl.test does not list 203.0.113.5"},
		"IPv6":          {works6, six, "bl.test does not list 2001:db8:1:2:3:4:567:89ab"},
		"IPv6, shared":  {works, six, "bl.test does not list 2001:db8:1:2:3:4:567:89ab"},
		"listed":        {fourName + "bl.test A 127.0.0.4", four, "bl.test lists 203.0.113.5: 127.0.0.4 (exploited) ⇒ find out what has sent spam and end it, then ask bl.test to remove the entry"},
		"unknown code":  {fourName + "bl.test A 127.9.9.9", four, "bl.test lists 203.0.113.5: 127.9.9.9 ⇒ find out"},
		"IPv6 listed":   {sixName + "bl.test A 127.0.0.2", six, "bl.test lists 2001:db8:1:2:3:4:567:89ab: 127.0.0.2 ⇒ find out"},
		"several codes": {fourName + "bl.test A 127.0.0.10\n" + fourName + "bl.test A 127.0.0.4\n" + fourName + "bl.test A 127.0.0.4", four, "bl.test lists 203.0.113.5: 127.0.0.4 (exploited), 127.0.0.10 ⇒ find out what has sent spam and end it, then ask bl.test to remove the entry; ask your provider"},
		"another fix":   {fourName + "bl.test A 127.0.0.10", four, "bl.test lists 203.0.113.5: 127.0.0.10 ⇒ ask your provider"},
		"reasons": {fourName + "bl.test A 127.0.0.2\n" + fourName + "bl.test TXT see https://bl.test/?203.0.113.5.\n" + fourName + "bl.test TXT \x1b[2Jbad  boy\xff", four,
			`bl.test lists 203.0.113.5: 127.0.0.2; it says "[2Jbad boy? see https://bl.test/?203.0.113.5." ⇒ find out what has sent spam and end it, then ask bl.test to remove the entry: https://bl.test/?203.0.113.5`},
		"reason fails": {fourName + "bl.test A 127.0.0.2\n" + fourName + "bl.test TXT -", four, "bl.test lists 203.0.113.5: 127.0.0.2 ⇒ find out"},

		"public resolver": {"*.bl.test A 127.255.255.254", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.255.255.254: it does not answer public resolvers, nor those whose address has a generic name ⇒ set resolver to a DNS server of your own"},
		"too much":        {"*.bl.test A 127.255.255.255", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.255.255.255: too much is asked by way of this DNS server ⇒ set resolver"},
		"typing error":    {"*.bl.test A 127.255.255.252", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.255.255.252: there is no list of this name ⇒ correct bl.test in deliverability.blocklists"},
		"refusal of 2030": {"*.bl.test A 127.255.255.7", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.255.255.7, which is in 127.255.255.0/24: it refuses to answer ⇒ set resolver"},
		"refusal beside":  {fourName + "bl.test A 127.0.0.4\n" + fourName + "bl.test A 127.255.255.255", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.255.255.255: too"},
		"its own refusal": {fourName + "bl.test A 127.0.1.255", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.0.1.255: it wants a domain ⇒ set resolver"},
		"127.0.0.1":       {"*.bl.test A 127.0.0.1", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.0.0.1: it refuses to answer this DNS server, or it is closed ⇒ set resolver"},
		"sold":            {"*.bl.test A 192.0.2.80", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 192.0.2.80, which is not in 127.0.0.0/8: its domain has another owner, or the DNS server answers for names that do not exist ⇒ take bl.test out"},
		"lists the world": {"*.bl.test A 127.0.0.2", four, "bl.test does not say whether 203.0.113.5 is listed: it lists 127.0.0.1, which no list has that works: it is closed, and lists everything ⇒ take bl.test out of deliverability.blocklists"},
		"IPv6 world":      {"*.bl.test A 127.0.0.2", six, "bl.test does not say whether 2001:db8:1:2:3:4:567:89ab is listed: it lists ::ffff:127.0.0.1, which"},
		"empty":           {"", four, "bl.test does not say whether 203.0.113.5 is listed: it does not list 127.0.0.2, which every list has that works: it is closed, or silent to this DNS server, or the DNS server drops answers in 127.0.0.0/8 ⇒ if it is closed, take bl.test out"},
		"empty of IPv6":   {"", six, "bl.test does not say whether 2001:db8:1:2:3:4:567:89ab is listed: it does not list ::ffff:127.0.0.2, which"},
		"refused later":   {"2.0.0.127.bl.test A 127.255.255.254", four, "bl.test does not say whether 203.0.113.5 is listed: it answers 127.255.255.254: it does"},
		"SERVFAIL":        {"*.bl.test A -", four, "bl.test does not say whether 203.0.113.5 is listed: the DNS fails: server misbehaving; some lists are silent to DNS servers that they do not like ⇒ if the DNS works otherwise, set resolver"},
		"SERVFAIL later":  {"2.0.0.127.bl.test A -", four, "bl.test does not say whether 203.0.113.5 is listed: the DNS fails: server misbehaving; some"},
		"not tried":       {fourName + "bl.test A 127.0.0.2\n1.0.0.127.bl.test A -", four, "bl.test lists 203.0.113.5: 127.0.0.2 ⇒ find out"},
	} {
		t.Run(name, func(t *testing.T) {
			all := Check(t.Context(), dnsOf(tc.dns), []List{testList()}, tc.ip)
			if len(all) != 1 {
				t.Fatalf("%+v", all)
			}
			compare(t, &all[0], tc.want)
		})
	}
}

// compare wants a listing to say this, and to hold together.
func compare(t *testing.T, l *Listing, want string) {
	t.Helper()
	text, fix, _ := strings.Cut(want, " ⇒ ")
	got := l.Text()
	if strings.Contains(want, " ⇒ ") && got != text || !strings.HasPrefix(got, text) || !strings.HasPrefix(l.Fix, fix) {
		t.Errorf("got  %s ⇒ %s\nwant %s", got, l.Fix, want)
	}
	if (l.Fix != "") != (l.Listed || l.Problem != "") || l.Listed && l.Problem != "" || l.Listed != (len(l.Codes) > 0) || !l.Listed && l.Reason+l.Delist != "" {
		t.Errorf("this contradicts itself: %+v", l)
	}
}

func TestCheckDomain(t *testing.T) {
	for dns, want := range map[string]string{
		"test.bl.test A 127.0.1.2":                                              "bl.test does not list bad.example",
		"bad.example.bl.test A 127.0.1.2":                                       "bl.test lists bad.example: 127.0.1.2 ⇒ find out",
		"bad.example.bl.test A 127.0.1.2\ninvalid.bl.test A 127.0.1.2":          "bl.test does not say whether bad.example is listed: it lists the domain \"invalid\", which",
		"2.0.0.127.bl.test A 127.0.0.2":                                         "bl.test does not say whether bad.example is listed: it does not list the domain \"test\", which",
		"bad.example.bl.test A 127.0.1.2\nbad.example.bl.test TXT spam factory": `bl.test lists bad.example: 127.0.1.2; it says "spam factory" ⇒ find out`,
	} {
		all := CheckDomain(t.Context(), dnsOf(dns), []List{testList(), {Zone: "ip.test", IPv4: true, IPv6: true}}, "Bad.Example.")
		if len(all) != 1 {
			t.Fatalf("%+v", all)
		}
		compare(t, &all[0], want)
	}
}

// TestOrder: lists answer in their order, and only those that have the kind of
// address.
func TestOrder(t *testing.T) {
	lists := []List{{Zone: "a.test", IPv4: true}, {Zone: "b.test", IPv6: true}, {Zone: "c.test", IPv4: true, IPv6: true}, {Zone: "d.test", Domains: true}}
	names := func(all []Listing) (names []string) {
		for i := range all {
			names = append(names, all[i].List)
		}
		return names
	}
	w := dnsOf("")
	for want, got := range map[string][]Listing{
		"a.test c.test": Check(t.Context(), w, lists, four),
		"b.test c.test": Check(t.Context(), w, lists, six),
		"d.test":        CheckDomain(t.Context(), w, lists, "example.com"),
		"":              slices.Concat(Check(t.Context(), w, nil, four), Check(t.Context(), w, lists, netip.Addr{}), CheckDomain(t.Context(), w, lists, "")),
	} {
		if s := strings.Join(names(got), " "); s != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
	if len(lists) != 4 || lists[3].Zone != "d.test" {
		t.Error("the caller's lists are changed")
	}
}

// TestSilence: a list that does not answer costs its time and nothing else.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		quiet := List{Zone: "quiet.test", IPv4: true}
		all := Check(t.Context(), dnsOf("*.quiet.test A silent\n"+works), []List{quiet, testList(), quiet}, four)
		compare(t, &all[0], "quiet.test does not say whether 203.0.113.5 is listed: there is no answer in time; some lists are silent to DNS servers that they do not like ⇒ if the DNS works otherwise")
		compare(t, &all[1], "bl.test does not list 203.0.113.5")
		if took := time.Since(start); took != listTime {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		all = Check(ctx, dnsOf("*.quiet.test A silent"), []List{quiet}, four)
		compare(t, &all[0], "quiet.test does not say whether 203.0.113.5 is listed: it was not asked to the end ⇒ try again")
	})
}

// TestKey: the key of an account is asked with, and not told.
func TestKey(t *testing.T) {
	lists := Named([]string{"S3cretKey.zen.dq.spamhaus.net."})
	w := dnsOf("*.s3cretkey.zen.dq.spamhaus.net A -")
	all := Check(t.Context(), w, lists, four)
	if len(all) != 1 || all[0].List != "zen.dq.spamhaus.net" || all[0].Problem == "" || strings.Contains(strings.ToLower(all[0].Text()+all[0].Fix), "s3cret") {
		t.Errorf("%+v", all)
	}
	if want := []string{fourName + "s3cretkey.zen.dq.spamhaus.net. A"}; !slices.Equal(w.asked, want) {
		t.Errorf("%q", w.asked)
	}
}

// TestKeyOfOthers: nor is that of an operator who is not known.
func TestKeyOfOthers(t *testing.T) {
	const key = "abcdefghijklmnopqrstuvwx26"
	lists := Named([]string{key + ".zrd.dq.spamhaus.net", key + ".example.net", "hostkarma.junkemailfilter.com"})
	w := dnsOf("*." + key + ".zrd.dq.spamhaus.net A -")
	var names []string
	for _, l := range Check(t.Context(), w, lists, four) {
		names = append(names, l.List)
		if strings.Contains(l.Text()+l.Fix, key) {
			t.Errorf("%+v", l)
		}
	}
	if want := []string{"zrd.dq.spamhaus.net", "example.net", "hostkarma.junkemailfilter.com"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	if !slices.Contains(w.asked, fourName+key+".zrd.dq.spamhaus.net. A") {
		t.Errorf("%q", w.asked)
	}
}

func TestNamed(t *testing.T) {
	if diff := cmp.Diff(Default(), Named(nil)); diff != "" || len(Default()) < 5 {
		t.Error(diff)
	}
	if all := Named([]string{}); len(all) != 0 {
		t.Error(all)
	}
	all := Named([]string{"ZEN.spamhaus.org", "bl.example.org"})
	if len(all) != 2 || all[0].Codes["127.0.0.10"].Fix == "" || !cmp.Equal(all[1], List{Zone: "bl.example.org", IPv4: true, IPv6: true}) {
		t.Errorf("%+v", all)
	}
	for _, l := range known() {
		if l.Zone != strings.ToLower(strings.TrimSuffix(l.Zone, ".")) || !l.IPv4 && !l.IPv6 && !l.Domains {
			t.Errorf("%+v", l)
		}
		for addr := range l.Codes {
			if v := l.refused(netip.MustParseAddr(addr)); v != (verdict{}) {
				t.Errorf("%s: %s is a code and no listing: %v", l.Zone, addr, v)
			}
		}
	}
}

// TestBits: SURBL and URIBL have a bit for each kind, and test entries of their
// own.
func TestBits(t *testing.T) {
	lists := Named([]string{"multi.surbl.org", "multi.uribl.com"})
	all := CheckDomain(t.Context(), dnsOf("bad.example.multi.surbl.org A 127.0.0.72\nbad.example.multi.uribl.com A 127.0.0.1"), lists, "bad.example")
	compare(t, &all[0], "multi.surbl.org lists bad.example: 127.0.0.72 (a domain of phishing, a domain that spam links to) ⇒ find out what has sent spam and end it, then ask multi.surbl.org to remove the entry: https://www.surbl.org/surbl-analysis")
	compare(t, &all[1], "multi.uribl.com does not say whether bad.example is listed: it answers 127.0.0.1: it refuses to answer this DNS server, or it is closed ⇒ set resolver")
	all = CheckDomain(t.Context(), dnsOf("test.surbl.org.multi.surbl.org A 127.0.0.254"), lists, "good.example")
	compare(t, &all[0], "multi.surbl.org does not list good.example")
	compare(t, &all[1], `multi.uribl.com does not say whether good.example is listed: it does not list the domain "test.uribl.com", which`)
}

func TestPage(t *testing.T) {
	all := Check(t.Context(), dnsOf(sixName+"zen.spamhaus.org A 127.0.0.4"), Named([]string{"zen.spamhaus.org"}), six)
	const want = "https://check.spamhaus.org/results/?query=2001%3Adb8%3A1%3A2%3A3%3A4%3A567%3A89ab"
	if len(all) != 1 || all[0].Delist != want || !strings.HasSuffix(all[0].Fix, want) {
		t.Errorf("%+v", all)
	}
	all = Check(t.Context(), dnsOf(fourName+"bl.spamcop.net A 127.0.0.2"), Named([]string{"bl.spamcop.net"}), four)
	compare(t, &all[0], "bl.spamcop.net lists 203.0.113.5: 127.0.0.2 (spam has come from it recently) ⇒ find out what has sent spam and end it; it removes the entry a day after the last report: https://www.spamcop.net/w3m?action=checkblock&ip=203.0.113.5")
}
