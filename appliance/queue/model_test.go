package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSiteLimits_Model: whatever happens – look-ups that fail, sites that
// change, reloads, suspensions, refusals – no site ever gets more than its
// connections, and every message ends once.
func TestSiteLimits_Model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.IntRange(0, 9), 5, 40).Draw(rt, "plan")
		picks := rapid.SliceOfN(rapid.IntRange(0, 59), 40, 40).Draw(rt, "picks")
		synctest.Test(t, func(t *testing.T) { modelRun(t, plan, picks) })
	})
}

func modelRun(t *testing.T, plan, picks []int) {
	s := newSited(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 12 })
	names := []string{"one", "two", "three"}
	for i, n := range names {
		s.limits[n] = appliance.SiteLimits{Connections: i + 1}
	}
	var all []string
	for _, n := range names {
		all = append(all, domains(20, n)...)
	}
	for _, d := range all {
		s.serve(d, ok250)
	}
	s.start()
	sent := 0
	for i, step := range plan {
		d := all[picks[i]]
		site := siteOf(d)
		switch step {
		case 0, 1, 2, 3:
			for range 10 {
				s.send("", "bob@"+d)
				sent++
			}
		case 4:
			s.serve(d, says(421, 0, 0, "enough"))
		case 5:
			s.serve(d, ok250)
		case 6:
			s.engine.Configure(appliance.DefaultSettings().Queue)
		case 7:
			err := s.engine.Suspend(t.Context(), appliance.Suspension{Name: site, Until: s.now().Add(time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
		case 8:
			s.serve(d, says(451, 0, 0, "later"))
		case 9:
			after(time.Minute)
		}
		after(time.Duration(picks[i]) * 100 * time.Millisecond)
	}
	for _, d := range all {
		s.serve(d, ok250)
	}
	after(6 * time.Hour)
	for i, n := range names {
		if most := s.busiest(n); most > i+1 {
			t.Errorf("%d at a time at site %s, limit %d", most, n, i+1)
		}
	}
	if n := len(s.told(appliance.EventDelivered)); n != sent {
		t.Errorf("%d delivered of %d", n, sent)
	}
}
