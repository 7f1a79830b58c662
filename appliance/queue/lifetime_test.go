package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// late is how much later than its time an attempt may begin.
const late = 2 * time.Second

// lives is how many lives a test follows; under the race detector each costs
// much.
func lives(n uint64) uint64 {
	if testing.Short() {
		return n / 5
	}
	return n
}

// TestFiveDays: a message that is deferred all its life is attempted at the
// times of the default schedule, each wait up to a tenth longer; its sender
// hears of the delay once, after four hours, and of the end once, after five
// days.
func TestFiveDays(t *testing.T) {
	for seed := range lives(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { fiveDays(t, seed) })
		})
	}
}

func fiveDays(t *testing.T, seed uint64) {
	h := newHouse(t, func(in *appliance.EngineContext) { in.Rand = rand.New(rand.NewPCG(seed, 1)) }).start()
	h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
	sent := h.now()
	h.send("ann@example.com", "bob@example.org")
	after(7 * 24 * time.Hour)

	attempts := h.relay.asked("example.org")
	settings := appliance.DefaultSettings().Queue
	checkWaits(t, attempts, settings.Retry)
	last := attempts[len(attempts)-1].at.Sub(sent)
	if last < settings.Lifetime || last > settings.Lifetime+settings.Retry.Longest()+late {
		t.Errorf("the last attempt is %v old", last)
	}
	if before := attempts[len(attempts)-2].at.Sub(sent); before >= settings.Lifetime {
		t.Errorf("there was an attempt after %v already, and it was not the last", before)
	}
	checkNext(t, h, attempts)
	checkReports(t, h, "delayed 4.7.1", "failed 4.4.7")
	i := slices.IndexFunc(attempts, func(c call) bool { return c.at.Sub(sent) >= settings.WarnAfter })
	told := h.told(appliance.EventReported)
	if len(told) != 2 || told[0].Time.Sub(attempts[i].at) > late || told[1].Time.Sub(sent)-last > late {
		t.Errorf("told %+v; the first attempt after %v was at %v", told, settings.WarnAfter, attempts[i].at)
	}
}

// checkWaits compares the times of attempts with a schedule.
func checkWaits(t *testing.T, attempts []call, schedule appliance.Schedule) {
	t.Helper()
	jittered := false
	for n := 1; n < len(attempts); n++ {
		wait, want := attempts[n].at.Sub(attempts[n-1].at), schedule.Wait(n, nil)
		if wait < want || wait > want+want/10+late {
			t.Errorf("%v between attempts %d and %d, want %v and up to a tenth more", wait, n, n+1, want)
		}
		jittered = jittered || wait > want+late
	}
	if !jittered {
		t.Error("no wait is longer than the schedule has it: there is no jitter")
	}
}

// checkNext: each event that tells of a deferral says when the next attempt
// is, and that is when it was.
func checkNext(t *testing.T, h *house, attempts []call) {
	t.Helper()
	for i, e := range h.told(appliance.EventDeferred) {
		if d := attempts[i+1].at.Sub(e.Next); e.Attempt != i+1 || d < 0 || d > late {
			t.Errorf("attempt %d says that the next is at %v, which was %v off", e.Attempt, e.Next, d)
		}
	}
}

// TestFiveDaysOfClockJumps_R11: whatever is done to the clock in these five
// days, the message is attempted in time, by a clock that nobody can put back,
// and comes to one end with one report of the delay and one of the failure.
func TestFiveDaysOfClockJumps_R11(t *testing.T) {
	for seed := range lives(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { jumpyDays(t, seed) })
		})
	}
}

func jumpyDays(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	h := newHouse(t, func(in *appliance.EngineContext) { in.Rand = rand.New(rand.NewPCG(seed, 2)) }).start()
	h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
	sent := h.now()
	h.send("ann@example.com", "bob@example.org")
	jumps := []time.Duration{
		time.Hour, -time.Hour, 6 * time.Hour, -26 * time.Hour, 20 * time.Hour, -10 * time.Minute, 90 * time.Second, -time.Second,
	}
	r.Shuffle(len(jumps), func(i, j int) { jumps[i], jumps[j] = jumps[j], jumps[i] })
	for _, by := range jumps { // four of the five days, at most
		after(time.Duration(r.Int64N(int64(12 * time.Hour))))
		h.jump(by)
	}
	after(8 * 24 * time.Hour)

	attempts := h.relay.asked("example.org")
	settings := appliance.DefaultSettings().Queue
	for n := 1; n < len(attempts); n++ {
		if wait := attempts[n].at.Sub(attempts[n-1].at); wait > settings.Retry.Longest()+maxSleep+late {
			t.Errorf("%v between attempts %d and %d", wait, n, n+1)
		}
	}
	ends := h.told(appliance.EventBounced)
	if len(ends) != 1 || ends[0].Attempt != len(attempts) {
		t.Fatalf("%d attempts, ends %+v", len(attempts), ends)
	}
	if age := ends[0].Time.Sub(sent); age < settings.Lifetime {
		t.Errorf("it was given up at the age of %v", age)
	}
	checkReports(t, h, "delayed 4.7.1", "failed 4.4.7")
}
