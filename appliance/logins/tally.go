package logins

import "time"

// forgiveness is the time in which one failure is forgiven.
const forgiveness = 6 * time.Minute

// A tally counts failures that are forgiven in the course of time.
type tally struct {
	n     int
	since time.Time // up to when the forgiven ones have been taken off
}

// count is how many there are now.
func (t *tally) count(now time.Time) int {
	if t.n == 0 || now.Before(t.since) { // a clock that was set back forgives nobody
		return t.n
	}
	gone := int(min(now.Sub(t.since)/forgiveness, time.Duration(t.n)))
	t.n -= gone
	t.since = t.since.Add(time.Duration(gone) * forgiveness)
	return t.n
}

// add counts one more.
func (t *tally) add(now time.Time) int {
	if t.count(now) == 0 {
		t.since = now
	}
	t.n++
	return t.n
}

// over is when no more than n of them are left.
func (t *tally) over(n int) time.Time {
	return t.since.Add(time.Duration(max(0, t.n-n)) * forgiveness)
}
