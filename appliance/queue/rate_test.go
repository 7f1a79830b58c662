package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestRateOfAll: queue.rate holds over all destinations, all of it is used, and
// what waits for it has not been attempted.
func TestRateOfAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, func(in *appliance.EngineContext) {
			in.Settings.Rate = appliance.Rate{Count: 20, Per: time.Minute}
		})
		s.start()
		for i := range 300 {
			d := fmt.Sprintf("d.s%d.test", i%7)
			s.serve(d, ok250)
			s.send("", "bob@"+d)
		}
		after(10 * time.Minute)
		var starts []time.Time
		for _, c := range s.allAsked() {
			starts = append(starts, c.at)
		}
		checkRate(t, starts, 20, time.Minute)
		if n := len(starts); n < 190 || n > 201 {
			t.Errorf("%d deliveries in ten minutes", n)
		}
		for _, d := range s.store.left() {
			if d.Attempts != 0 {
				t.Fatalf("waiting is no attempt: %+v", d)
			}
		}
		settings := s.engine.queueSettings()
		settings.Rate = appliance.Rate{}
		s.engine.Configure(settings)
		after(5 * time.Minute)
		if n := len(s.store.left()); n != 0 {
			t.Errorf("%d left after the limit is gone", n)
		}
	})
}

// allAsked is every call of the relay, in order.
func (s *sited) allAsked() []call {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	return append([]call(nil), s.relay.calls...)
}

// TestRelayLimits: the limits of a relay hold over all of its sites, all of them
// is used, and what waits has not been attempted.
func TestRelayLimits(t *testing.T) {
	for _, l := range []appliance.SiteLimits{
		{Connections: 3},
		{Rate: appliance.Rate{Count: 20, Per: time.Minute}},
	} {
		bubble(t, func(t *testing.T) {
			s := newSited(t, nil)
			s.relays = l
			s.start()
			for i := range 300 {
				d := fmt.Sprintf("d.s%d.test", i%7)
				s.serve(d, ok250)
				s.send("", "bob@"+d)
			}
			after(time.Minute)
			for _, d := range s.store.left() {
				if d.Attempts != 0 {
					t.Fatalf("waiting is no attempt: %+v", d)
				}
			}
			began := len(s.allAsked())
			if most := s.relay.mostOf(""); l.Connections > 0 && (most != 3 || began < 3*59 || began > 3*61) {
				t.Errorf("%d at a time, %d in a minute", most, began)
			}
			if l.Rate.Count > 0 {
				var starts []time.Time
				for _, c := range s.allAsked() {
					starts = append(starts, c.at)
				}
				if checkRate(t, starts, 20, time.Minute); began < 18 {
					t.Errorf("%d in a minute", began)
				}
			}
			after(20 * time.Minute)
			if n := len(s.store.left()); n != 0 {
				t.Errorf("%d left", n)
			}
		})
	}
}

// TestRateRemembered: a site with little mail is not forgotten before its rate
// allows as much as to a new one.
func TestRateRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.limits["slow"] = appliance.SiteLimits{Rate: appliance.Rate{Count: 50, Per: 24 * time.Hour}}
		s.start()
		s.serve("d.slow.test", ok250)
		var sent int
		for range 3 * 48 { // a burst every half hour, for three days
			for range 5 {
				s.send("", "bob@d.slow.test")
				sent++
			}
			after(30 * time.Minute)
			if n := len(s.store.left()); n > 20 {
				if _, err := s.engine.Change(t.Context(), appliance.Filter{}, appliance.ChangeDrop); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.store.left()) == 0 {
				after(2 * siteMemory)
			}
		}
		checkRate(t, s.begun("slow"), 50, 24*time.Hour)
	})
}
