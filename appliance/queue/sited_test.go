package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// sited is a house whose relay knows sites: the domains that end with
// ".SITE.test" are on the servers of SITE.
type sited struct {
	*house
	mu     sync.Mutex
	limits map[string]appliance.SiteLimits
	relays appliance.SiteLimits     // of the relay
	failed map[string]error         // by site
	slow   map[string]time.Duration // by site
	asked  []string
	inside map[string]int // deliveries at a time, by site
	most   map[string]int
	starts map[string][]time.Time // of deliveries, by site
	takes  time.Duration          // each delivery
}

func newSited(t *testing.T, change func(in *appliance.EngineContext)) *sited {
	s := &sited{
		limits: make(map[string]appliance.SiteLimits), failed: make(map[string]error), slow: make(map[string]time.Duration),
		inside: make(map[string]int), most: make(map[string]int), starts: make(map[string][]time.Time), takes: time.Second,
	}
	s.house = newHouse(t, func(in *appliance.EngineContext) {
		in.Router = s
		if change != nil {
			change(in)
		}
	})
	return s
}

// AcquireRelay implements appliance.RelayFinder.
func (s *sited) AcquireRelay(name string) (appliance.Relay, func(), bool) {
	return sitedRelay{s.relay, s}, func() {}, name == "mx"
}

type sitedRelay struct {
	appliance.Relay
	s *sited
}

func siteOf(domain string) string {
	parts := strings.Split(domain, ".")
	return parts[len(parts)-2]
}

func (r sitedRelay) Site(ctx context.Context, nextHop string) (appliance.Site, error) {
	r.s.mu.Lock()
	name := siteOf(nextHop)
	r.s.asked = append(r.s.asked, nextHop)
	err, slow, limits, all := r.s.failed[name], r.s.slow[name], r.s.limits[name], r.s.relays
	r.s.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return appliance.Site{}, ctx.Err()
		}
	}
	return appliance.Site{Name: name, Limits: limits, Relay: all}, err
}

// serve answers for a domain, and counts what its site gets.
func (s *sited) serve(domain string, a answer) {
	site := siteOf(domain)
	s.relay.answer(domain, func(ctx context.Context, env appliance.Envelope) []appliance.Result {
		s.mu.Lock()
		s.inside[site]++
		s.most[site] = max(s.most[site], s.inside[site])
		s.starts[site] = append(s.starts[site], time.Now())
		s.mu.Unlock()
		time.Sleep(s.takes)
		s.mu.Lock()
		s.inside[site]--
		s.mu.Unlock()
		return a(ctx, env)
	})
}

// begun is when deliveries to a site began.
func (s *sited) begun(site string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts[site])
}

// busiest is how many deliveries at a time there were at most.
func (s *sited) busiest(site string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most[site]
}

// fail has look-ups of a site fail, or not.
func (s *sited) fail(site string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed[site] = err
}

func (s *sited) state(t *testing.T, name string) appliance.SiteState {
	t.Helper()
	all := s.engine.Sites()
	i := slices.IndexFunc(all, func(x appliance.SiteState) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no site %s among %+v", name, all)
	}
	return all[i]
}

func domains(n int, site string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("d%d.%s.test", i, site)
	}
	return all
}

var ok250 = says(250, 0, 0, "ok")

func (s *sited) startSited() *sited {
	s.start()
	return s
}

func (s *sited) remembered() (sites, destinations int) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return len(s.engine.sites), len(s.engine.dests)
}
