package queue

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waxwing-mail/waxwing/appliance"
)

// checkRate looks at each stretch of time.
func checkRate(t interface{ Errorf(string, ...any) }, starts []time.Time, count int, per time.Duration) {
	for i := range starts {
		if j := i + count; j < len(starts) && starts[j].Sub(starts[i]) < per {
			t.Errorf("%d deliveries within %v", count+1, starts[j].Sub(starts[i]))
			return
		}
	}
}

// TestPace: whatever the demand and the clock, a rate is never exceeded, and
// what waits gets all of it, but for a rounding error.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := appliance.Rate{
			Count: rapid.IntRange(1, 500).Draw(t, "count"),
			Per:   time.Duration(rapid.IntRange(1, 100_000).Draw(t, "per")) * time.Millisecond,
		}
		p := pace{rate: rate}
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		now := start
		var starts []time.Time
		for range rapid.IntRange(1, 2000).Draw(t, "deliveries") {
			if rapid.IntRange(0, 20).Draw(t, "idle") == 0 {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*rate.Per)).Draw(t, "for")))
			}
			if at := p.next(now, 0); at.After(now) {
				now = at
			}
			p.take(now)
			starts = append(starts, now)
		}
		checkRate(t, starts, rate.Count, rate.Per)
	})
}

// TestPaceClockBack: a clock that is put back stops nothing.
func TestPaceClockBack(t *testing.T) {
	now := time.Now()
	p := pace{rate: appliance.Rate{Count: 10, Per: time.Hour}}
	for range 10 {
		p.take(now)
	}
	now = now.Add(-48 * time.Hour)
	if at := p.next(now, time.Minute); at.After(now) {
		t.Errorf("the next is %v ahead", at.Sub(now))
	}
}
