package cmd

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const longReply = "Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users"

// aLongQueue has a message of each state, with long and short addresses.
func aLongQueue() admin.QueuePage {
	box := func(text string) appliance.Mailbox {
		m, err := appliance.ParseMailbox(text)
		if err != nil {
			panic(err)
		}
		return m
	}
	delivery := func(state string, due time.Duration, last string, to ...string) admin.QueuedDelivery {
		d := admin.QueuedDelivery{Destination: "internet/gmail-smtp-in.l.google.com", State: state, Due: noon.Add(due)}
		for _, t := range to {
			r := admin.QueuedRecipient{To: box(t), Status: "waiting"}
			if last != "" {
				r.Last, r.Reason = &admin.Reply{Code: 421, Status: "4.7.28", Text: last}, &admin.Reason{Class: "rate"}
			}
			d.Recipients = append(d.Recipients, r)
		}
		return d
	}
	return admin.QueuePage{Messages: []admin.QueuedMessage{
		{ID: "06h0jem2dytjptpschrw", Received: noon.Add(-50 * time.Hour), Size: 12345678, From: box("bounces+campaign-2026-11-23-0815@newsletter.marketing.example.com"),
			Deliveries: []admin.QueuedDelivery{
				delivery("waiting", 59*time.Minute+59*time.Second, longReply, "a.very.long.name.of.a.person@department.university.example.edu", "b@example.edu"),
				delivery("active", 0, "", "short@example.net"),
			}},
		{ID: "06h0jem2dytjptpschrx", Received: noon.Add(-5 * time.Second), Size: 999, Deliveries: []admin.QueuedDelivery{
			delivery("held", 0, "", "größe@example.org"), delivery("waiting", -time.Second, "", "c@d.example"),
		}},
	}}
}

func text(t *testing.T, all *table) string {
	t.Helper()
	var b strings.Builder
	if err := all.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func widest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
	}
	return n
}

// TestQueueListWidth: a list fits 80 columns, uses more where there are more,
// and says everything where there is no limit.
func TestQueueListWidth(t *testing.T) {
	list := func(width int) string { return text(t, queueTable(aLongQueue(), width, noon)) }
	want := `ID                    AGE   FROM           RECIPIENTS     NEXT    LAST REPLY
06h0jem2dytjptpschrw  2d2h  <bounc…e.com>  <a.ver…1 more  59m59s  rate: 421 4.7…
06h0jem2dytjptpschrw  2d2h  <bounc…e.com>  <short…e.net>  active
06h0jem2dytjptpschrx  5s    <>             <größe…e.org>  held
06h0jem2dytjptpschrx  5s    <>             <c@d.example>  now
`
	if diff := cmp.Diff(want, list(80)); diff != "" {
		t.Error(diff)
	}
	if w := widest(list(120)); w != 120 {
		t.Errorf("of 120 columns %d are used", w)
	}
	if all := list(0); !strings.Contains(all, longReply) || !strings.Contains(all, "internet/gmail-smtp-in") || strings.Contains(all, "…") {
		t.Errorf("not everything:\n%s", all)
	}
}

// TestSummaryWidth: the same of a summary. What tells the lines apart is longer
// than what was heard, and what nothing has takes no room.
func TestSummaryWidth(t *testing.T) {
	group := func(key string, waiting int, class appliance.Class) admin.QueueGroup {
		g := admin.QueueGroup{Key: key, Class: class, QueueCount: admin.QueueCount{
			Messages: waiting, Recipients: waiting, Octets: int64(waiting) << 10, Held: 3, Oldest: noon.Add(-26 * time.Hour), Next: noon.Add(90 * time.Second),
		}}
		if class != "" {
			g.Last = &admin.Reply{Code: 421, Status: "4.7.28", Text: longReply}
		}
		return g
	}
	sum := admin.QueueSummary{By: "destination", More: 7, Groups: []admin.QueueGroup{
		group("internet/a-domain-with-a-long-name.department.example.org", 1_000_000, "reputation"), group("internet/b.example", 1, ""),
	}}
	want := `DESTINATION               WAITING  SIZE      ACTIVE  OLDEST  NEXT   LAST
internet/a-d…example.org  1000000  976.6MiB  0       1d2h    1m30s  reputation:…
internet/b.example        1        1.0KiB    0       1d2h    1m30s  -
and 7 more
`
	if diff := cmp.Diff(want, text(t, summaryTable(sum, 80, noon))); diff != "" {
		t.Error(diff)
	}
	sum.Held = 6
	want = `DESTINATION         WAITING  SIZE      ACTIVE  HELD  OLDEST  NEXT   LAST
internet/…mple.org  1000000  976.6MiB  0       3     1d2h    1m30s  reputation:…
internet/b.example  1        1.0KiB    0       3     1d2h    1m30s  -
and 7 more
`
	if diff := cmp.Diff(want, text(t, summaryTable(sum, 80, noon))); diff != "" {
		t.Error(diff)
	}
	if all := text(t, summaryTable(sum, 0, noon)); !strings.Contains(all, longReply) || !strings.Contains(all, "MESSAGES") {
		t.Errorf("not everything:\n%s", all)
	}
}

func troubledSites() []appliance.SiteState {
	return []appliance.SiteState{
		{Name: "internet/google", Destinations: 12, InFlight: 1, Limit: 1, Connections: 20, Rate: "100/1m", Pause: "30s", Waits: true, Because: "421 4.7.28 " + longReply},
		{Name: "internet/mx.a-host-with-a-long-name.department.example.org", Destinations: 1, Limit: 1, Connections: 20, Down: noon.Add(299 * time.Second), Because: "451 4.4.1 no connection"},
		{Name: "internet/well.example", Destinations: 1, InFlight: 2, Limit: 4, Connections: 20},
		{Name: "provider/smtp.example.net", Destinations: 1, InFlight: 20, Limit: 20, Connections: 20, Waits: true},
		{Name: "internet/waits.example", Destinations: 1, Limit: 1, Connections: 20, Suspended: true},
	}
}

// TestSitesWidth: the same of sites, with the word for each.
func TestSitesWidth(t *testing.T) {
	page := admin.SitePage{Sites: troubledSites()}
	want := `SITE                       ACTIVE    RATE    STATE              BECAUSE
internet/google            1 of 1    100/1m  slowed, pause 30s  421 4.7.28 Our …
internet/mx.….example.org  0 of 1    -       left alone 4m59s   451 4.4.1 no co…
internet/well.example      2 of 4    -       well
provider/smtp.example.net  20 of 20  -       at its limit
internet/waits.example     0 of 1    -       suspended
`
	if diff := cmp.Diff(want, text(t, sitesTable(page, 80, noon))); diff != "" {
		t.Error(diff)
	}
	if all := text(t, sitesTable(page, 0, noon)); !strings.Contains(all, longReply) || !strings.Contains(all, "a-host-with-a-long-name.department") {
		t.Errorf("not everything:\n%s", all)
	}
}

// TestTopSites: top shows who gets less than it could, and no more of them than
// leave room for the destinations.
func TestTopSites(t *testing.T) {
	v := newTopView()
	v.sites = slowed(troubledSites())
	want := `0 messages, 0 recipients waiting, 0 active, 0 held, 0B; 0/min
sorted by what waits; keys: w waiting, a active, r rate, o oldest, q quit
site internet/google               1 of 20   slowed, pause 30s  421 4.7.28 Our …
site internet/mx…ment.example.org  1 of 20   left alone 4m59s   451 4.4.1 no co…
site provider/smtp.example.net     20 of 20  at its limit
DESTINATION  WAITING  ACTIVE  HELD  RATE  OLDEST  LAST
`
	if diff := cmp.Diff(want, v.render(80, 0, noon)); diff != "" {
		t.Error(diff)
	}
	for range 5 {
		v.sites = append(v.sites, v.sites[2])
	}
	got := v.render(80, 20, noon)
	if strings.Count(got, "\nsite ") != topSites || !strings.Contains(got, "\nand 4 sites more, see ") {
		t.Error(got)
	}
}

// TestMiddle: what is cut out is in the middle, by characters and not octets.
func TestMiddle(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"abcdefgh", 8, "abcdefgh"}, {"abcdefghi", 8, "abcd…ghi"}, {"äöüßäöüßä", 5, "äö…ßä"}, {"", 3, ""},
	} {
		if got := middle(c.text, c.width); got != c.want {
			t.Errorf("%s, %d: %s", c.text, c.width, got)
		}
	}
}
