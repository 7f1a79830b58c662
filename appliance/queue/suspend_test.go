package queue

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSuspend: what a person suspends waits, by any of its names, and nothing
// else does; waiting is no attempt.
func TestSuspend(t *testing.T) {
	for _, name := range []string{"mx/d0.big.test", "d0.big.test", "mx/big", "big", " BIG "} {
		bubble(t, func(t *testing.T) {
			s := newSited(t, nil).startSited()
			s.suspend(t, name, 0)
			s.send("", "bob@d0.big.test")
			s.send("", "bob@d0.other.test")
			after(time.Hour)
			if n := len(s.relay.asked("d0.big.test")); n != 0 {
				t.Errorf("%q: %d attempts", name, n)
			}
			if n := len(s.told(appliance.EventDelivered)); n != 1 {
				t.Errorf("%q: %d delivered", name, n)
			}
			if found, err := s.engine.Resume(t.Context(), name); !found || err != nil {
				t.Fatal(found, err)
			}
			synctest.Wait()
			got := s.told(appliance.EventDelivered)
			if len(got) != 2 || got[1].Attempt != 1 {
				t.Errorf("%q: after resuming: %+v", name, got)
			}
			if found, err := s.engine.Resume(t.Context(), name); found || err != nil {
				t.Errorf("resumed twice: %v", err)
			}
		})
	}
}

func (s *sited) suspend(t *testing.T, name string, d time.Duration) {
	t.Helper()
	x := appliance.Suspension{Name: name, Reason: "they asked for it"}
	if d > 0 {
		x.Until = s.now().Add(d)
	}
	if err := s.engine.Suspend(t.Context(), x); err != nil {
		t.Fatal(err)
	}
}

// TestSuspendFor: it ends by itself.
func TestSuspendFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		s.suspend(t, "big", 2*time.Hour)
		s.suspend(t, "other", 3*time.Hour)
		s.send("", "bob@d0.big.test")
		after(2*time.Hour - time.Second)
		if n := len(s.told(appliance.EventDelivered)); n != 0 {
			t.Error("it has ended too early")
		}
		if got := s.state(t, "mx/big"); !got.Suspended {
			t.Errorf("state %+v", got)
		}
		after(time.Second)
		if n := len(s.told(appliance.EventDelivered)); n != 1 {
			t.Error("it has not ended")
		}
		if all := s.engine.Suspensions(); len(all) != 1 || all[0].Name != "other" {
			t.Errorf("suspensions %+v", all)
		}
	})
}

// TestSuspendLeased: what was leased and had not begun goes back to the store,
// where people can change it.
func TestSuspendLeased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.limits["big"] = appliance.SiteLimits{Connections: 8}
		s.start()
		s.takes = time.Minute
		s.serve("d0.big.test", ok250)
		for range 100 {
			s.send("", "bob@d0.big.test")
		}
		after(5*time.Minute + time.Second)
		s.suspend(t, "big", 0)
		synctest.Wait()
		inFlight := s.state(t, "mx/big").InFlight
		s.store.set(func(f *fakeStore) {
			if len(f.out) != inFlight {
				t.Errorf("%d leased, %d in flight", len(f.out), inFlight)
			}
		})
		begun := len(s.begun("big"))
		after(time.Hour)
		if len(s.begun("big")) != begun {
			t.Error("deliveries began although they are suspended")
		}
		if _, err := s.engine.Resume(t.Context(), "big"); err != nil {
			t.Fatal(err)
		}
		after(time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 100 {
			t.Errorf("%d delivered", n)
		}
	})
}

// TestSuspendSurvives: a restart finds what was suspended, and does not start
// without knowing.
func TestSuspendSurvives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		s.suspend(t, "big", 0)
		s.suspend(t, "short", time.Minute)
		s.send("", "bob@d0.big.test")
		after(time.Hour)

		next := newSited(t, func(in *appliance.EngineContext) { in.Store = s.store })
		next.store = s.store
		next.start()
		after(time.Hour)
		if n := len(next.relay.asked("d0.big.test")); n != 0 {
			t.Errorf("%d attempts after a restart", n)
		}
		all := next.engine.Suspensions()
		if len(all) != 1 || all[0].Name != "big" || all[0].Reason != "they asked for it" {
			t.Errorf("suspensions %+v", all)
		}

		s.store.values.m[suspensionsKey] = []byte("[{")
		err := newSited(t, func(in *appliance.EngineContext) { in.Store = s.store }).engine.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), suspensionsKey) {
			t.Errorf("started with a damaged list: %v", err)
		}
	})
}

// TestSuspendNotStored: what cannot be made durable is not done.
func TestSuspendNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		s.store.values.err = errors.New("the disk is full")
		if err := s.engine.Suspend(t.Context(), appliance.Suspension{Name: "big"}); err == nil {
			t.Error("no error")
		}
		s.send("", "bob@d0.big.test")
		synctest.Wait()
		if n := len(s.told(appliance.EventDelivered)); n != 1 {
			t.Error("it is suspended, but a restart would not know")
		}
	})
}

// TestSuspendRefused: what cannot be meant.
func TestSuspendRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		for _, x := range []appliance.Suspension{
			{}, {Name: " "}, {Name: strings.Repeat("x", 2000)}, {Name: "big", Until: s.now().Add(-time.Second)},
			{Name: "big", Reason: strings.Repeat("x", 300)},
		} {
			if err := s.engine.Suspend(t.Context(), x); err == nil {
				t.Errorf("%.40q was suspended", x.Name)
			}
		}
	})
}

// TestResumeByHop: what a person has suspended at a relay is resumed by the
// name without it, if that says which.
func TestResumeByHop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		resume := func(name string, want bool) {
			t.Helper()
			if found, err := s.engine.Resume(t.Context(), name); found != want || err != nil {
				t.Errorf("resume %s: %v, %v", name, found, err)
			}
		}
		s.suspend(t, "mx/big", 0)
		s.suspend(t, "out/small", 0)
		s.suspend(t, "mx/small", 0)
		resume("Big", true)
		resume("small", false)
		s.suspend(t, "small", 0)
		resume("small", true)
		if left := s.engine.Suspensions(); len(left) != 2 || left[0].Name != "mx/small" || left[1].Name != "out/small" {
			t.Errorf("left: %+v", left)
		}
	})
}
