// Package window counts what happened in the last hour or the last day, in
// steps: what happened longer ago than the span and one step does not count
// any more, and what happened within the span always does.
package window

import "time"

// A Span is a time that is counted in steps.
type Span struct {
	Name  string // "an hour"
	Step  time.Duration
	Steps int // the span is so many steps, and the one of now
}

// The spans.
var (
	Hour = Span{"an hour", 5 * time.Minute, 12}
	Day  = Span{"a day", time.Hour, 24}
)

// A Window is what happened in a span. The zero value is nothing. It is plain
// data, to be stored.
type Window struct {
	Step   int64   `json:"step"`   // number of the newest step since 1970
	Counts []int64 `json:"counts"` // of the newest step and those before it
}

// Sum is how much happened within the span before now.
func (s Span) Sum(w *Window, now time.Time) int64 {
	s.advance(w, now)
	var n int64
	for _, c := range w.Counts {
		n += c
	}
	return n
}

// Add counts n more.
func (s Span) Add(w *Window, now time.Time, n int64) {
	s.advance(w, now)
	if len(w.Counts) == 0 {
		w.Counts = make([]int64, 1)
	}
	w.Counts[0] += n
}

// Room is how long it takes until at most n is left of what there is now.
func (s Span) Room(w *Window, now time.Time, n int64) time.Duration {
	left := s.Sum(w, now)
	for i := len(w.Counts) - 1; i >= 0 && left > n; i-- {
		left -= w.Counts[i]
		if left <= n {
			gone := time.Duration(w.Step-int64(i)+int64(s.Steps)+1) * s.Step
			return gone - time.Duration(now.UnixNano())
		}
	}
	return 0
}

// advance makes the step of now the newest. A clock that was set back stays in
// the newest step there is, unless that is further off than the span: then
// what was counted under the wrong time is forgotten.
func (s Span) advance(w *Window, now time.Time) {
	step := now.UnixNano() / int64(s.Step)
	switch ahead := step - w.Step; {
	case len(w.Counts) == 0 || ahead > int64(s.Steps) || ahead < -int64(s.Steps):
		w.Step, w.Counts = step, nil
	case ahead > 0:
		w.Counts = append(make([]int64, ahead), w.Counts...)
		w.Counts = w.Counts[:min(len(w.Counts), s.Steps+1)]
		w.Step = step
	}
}
