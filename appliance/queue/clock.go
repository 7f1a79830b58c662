package queue

import "time"

// A clock notices jumps of the wall clock, which an administrator, NTP or a
// virtual machine that wakes up can cause.
type clock struct {
	now        func() time.Time
	wall, mono time.Time
}

// jumpBack is how far the clock must go back to be put right. Less is less
// than the shortest usual wait.
const jumpBack = time.Minute

func newClock(now func() time.Time) clock {
	if now == nil {
		now = time.Now
	}
	return clock{now: now, wall: now().Round(0), mono: time.Now()}
}

// wentBack says whether the wall clock has gone back since the last call, in
// comparison with the monotonic clock.
func (c *clock) wentBack() bool {
	wall, mono := c.now().Round(0), time.Now()
	drift := wall.Sub(c.wall) - mono.Sub(c.mono)
	c.wall, c.mono = wall, mono
	return drift <= -jumpBack
}
