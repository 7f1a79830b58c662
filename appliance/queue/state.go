package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Sites implements [appliance.SiteKeeper].
func (e *engine) Sites() []appliance.SiteState {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]appliance.SiteState, 0, len(e.sites))
	at := make(map[*site]int, len(e.sites))
	for _, s := range e.sites {
		if s.members+s.running+s.settling > 0 {
			at[s] = len(all)
			all = append(all, e.stateOf(s, now))
		}
	}
	if len(e.suspended.byName) > 0 {
		for _, d := range e.dests {
			if i, ok := at[d.site]; ok && e.suspended.has(d) {
				all[i].Suspended = true
			}
		}
	}
	slices.SortFunc(all, func(a, b appliance.SiteState) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// stateOf is what is known of a site. mu is held.
func (e *engine) stateOf(s *site, now time.Time) appliance.SiteState {
	state := appliance.SiteState{
		Name: s.name, Destinations: s.members, InFlight: s.running + s.settling,
		Limit: s.limit(e.settings), Connections: s.most(e.settings), Rate: s.limits.Rate.String(), Waits: s.waits(),
	}
	if s.load.slow > 0 {
		state.Pause = appliance.FormatDuration(s.load.slow.Round(time.Millisecond))
		state.Because = s.load.because.Reply.String()
	}
	if s.outage.down(now) {
		state.Down, state.Because = s.outage.until, s.outage.result.Reply.String()
	}
	return state
}

// waits says whether mail is due and cannot go out because of a limit of the
// site itself.
func (s *site) waits() bool { return s.waiting() > 0 && !s.inTurn() }
