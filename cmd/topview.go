package cmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// A topView is what "queue top" shows: the last summary, and how many attempts
// have ended since the one before.
type topView struct {
	order byte // the key that was pressed
	sum   admin.QueueSummary
	// suspended is what waits because a person wants it.
	suspended []appliance.Suspension
	// sites are those that get less than they could.
	sites []appliance.SiteState
	at    time.Time          // of sum
	rates map[string]float64 // recipients a minute

	mu    sync.Mutex
	ended map[string]int // recipients since at
}

func newTopView() *topView { return &topView{order: 'w', ended: make(map[string]int)} }

// count notes the end of an attempt for a recipient.
func (v *topView) count(destination string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended[destination]++
}

// look asks the server, and works out the rates since the last look.
func (v *topView) look(ctx context.Context, client *admin.Client, now time.Time) error {
	sum, err := client.Summary(ctx, admin.Filter{}, "destination")
	if err != nil {
		return err
	}
	page, err := client.Suspensions(ctx)
	if err != nil {
		return err
	}
	sites, err := client.Sites(ctx)
	if err != nil {
		return err
	}
	v.suspended, v.sites = page.Suspensions, slowed(sites.Sites)
	v.update(sum, now)
	return nil
}

func (v *topView) update(sum admin.QueueSummary, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if passed := now.Sub(v.at); !v.at.IsZero() && passed > 0 {
		v.rates = make(map[string]float64, len(v.ended))
		for destination, n := range v.ended {
			v.rates[destination] = float64(n) / passed.Minutes()
		}
	}
	clear(v.ended)
	v.sum, v.at = sum, now
}

// press does what a key asks for. It is false if that is the end.
func (v *topView) press(key byte) bool {
	const interrupt, endOfText = 3, 4 // Ctrl-C and Ctrl-D, which raw mode passes on
	switch key {
	case 'q', 'Q', interrupt, endOfText:
		return false
	case 'w', 'a', 'r', 'o':
		v.order = key
	}
	return true
}

// sorted is the destinations in the order that was asked for.
func (v *topView) sorted() []admin.QueueGroup {
	all := slices.Clone(v.sum.Groups)
	slices.SortStableFunc(all, func(a, b admin.QueueGroup) int {
		switch v.order {
		case 'a':
			return cmp.Compare(b.Active, a.Active)
		case 'r':
			return cmp.Compare(v.rates[b.Key], v.rates[a.Key])
		case 'o':
			return a.Oldest.Compare(b.Oldest)
		}
		return cmp.Compare(b.Recipients, a.Recipients)
	})
	return all
}

// topSites is how many sites top shows.
const topSites = 4

// slowed are the sites that are left alone, slowed down or at their limit.
func slowed(all []appliance.SiteState) []appliance.SiteState {
	return slices.DeleteFunc(slices.Clone(all), func(s appliance.SiteState) bool {
		return s.Suspended || siteState(&s, time.Time{}) == siteWell
	})
}

// troubled writes what keeps mail from going: suspensions, and sites that get
// less than they could.
func (v *topView) troubled(b *strings.Builder, width int, now time.Time) {
	if len(v.suspended) > 0 {
		fmt.Fprintf(b, "suspended: %s\n", printable(suspended(v.suspended, now)))
	}
	t := &table{width: width, soft: []int{0}, prose: []int{3}}
	for i := range v.sites[:min(topSites, len(v.sites))] {
		s := &v.sites[i]
		t.add("site "+s.Name, fmt.Sprintf("%d of %d", s.Limit, s.Connections), siteState(s, now), s.Because)
	}
	if more := len(v.sites) - topSites; more > 0 {
		t.add(fmt.Sprintf("and %s, see \"waxwing queue sites\"", number(more, "site more", "sites more")))
	}
	_ = t.write(b) // a strings.Builder takes everything
}

// render is the view, cut to a width and a height if those are not 0.
func (v *topView) render(width, height int, now time.Time) string {
	c := &v.sum.QueueCount
	total := 0.0
	for _, r := range v.rates {
		total += r
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s waiting, %d active, %d held, %s; %s\n", number(c.Messages, "message", "messages"),
		number(c.Recipients, "recipient", "recipients"), c.Active, c.Held, octets(c.Octets), rate(total))
	fmt.Fprintf(&b, "sorted by %s; keys: w waiting, a active, r rate, o oldest, q quit\n", topOrders[v.order])
	v.troubled(&b, width, now)
	head := strings.Count(b.String(), "\n") + 1 // and the heading
	t := &table{width: width, soft: []int{0}, prose: []int{6}}
	t.add("DESTINATION", "WAITING", "ACTIVE", "HELD", "RATE", "OLDEST", "LAST")
	for i, g := range v.sorted() {
		if height > 0 && i >= height-head {
			break
		}
		t.add(g.Key, fmt.Sprint(g.Recipients), fmt.Sprint(g.Active), fmt.Sprint(g.Held), rate(v.rates[g.Key]),
			age(now, g.Oldest), lastHeard(&g))
	}
	_ = t.write(&b) // a strings.Builder takes everything
	if width <= 0 {
		return b.String()
	}
	var cut strings.Builder
	for line := range strings.Lines(b.String()) {
		cut.WriteString(clip(strings.TrimSuffix(line, "\n"), width) + "\n")
	}
	return cut.String()
}

var topOrders = map[byte]string{'w': "what waits", 'a': "what is being attempted", 'r': "rate", 'o': "age"}

func rate(perMinute float64) string { return fmt.Sprintf("%.0f/min", perMinute) }

func age(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(t))
	unit := time.Second
	if d > time.Hour {
		unit = time.Minute
	}
	return appliance.FormatDuration(d.Truncate(unit))
}
