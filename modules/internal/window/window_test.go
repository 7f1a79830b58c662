package window

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return noon.Add(d) }

// TestSum: what happened within the span counts, and nothing that is older
// than the span and a step.
func TestSum(t *testing.T) {
	for name, span := range map[string]Span{"hour": Hour, "day": Day} {
		length := time.Duration(span.Steps) * span.Step
		for offset := time.Duration(0); offset < span.Step; offset += span.Step / 4 {
			var w Window
			span.Add(&w, at(offset), 7)
			if got := span.Sum(&w, at(offset+length)); got != 7 {
				t.Errorf("%s: %d after exactly the span", name, got)
			}
			if got := span.Sum(&w, at(offset+length+span.Step)); got != 0 {
				t.Errorf("%s: %d after the span and a step", name, got)
			}
		}
	}
	var w Window
	for i := range 1000 {
		Hour.Add(&w, at(time.Duration(i)*time.Minute), 1)
		if n := Hour.Sum(&w, at(time.Duration(i)*time.Minute)); n > 65 || i >= 60 && n < 60 || len(w.Counts) > 13 {
			t.Fatalf("minute %d: %d in %d steps", i, n, len(w.Counts))
		}
	}
}

// TestRoom: exactly so long, and then there is room.
func TestRoom(t *testing.T) {
	var w Window
	Hour.Add(&w, at(0), 10)
	Hour.Add(&w, at(17*time.Minute), 10)
	now := at(20 * time.Minute)
	for n, want := range map[int64]time.Duration{20: 0, 25: 0, 19: 45 * time.Minute, 10: 45 * time.Minute, 9: time.Hour, 0: time.Hour} {
		w := Window{w.Step, append([]int64(nil), w.Counts...)}
		got := Hour.Room(&w, now, n)
		if got != want {
			t.Errorf("room for %d in %s, want %s", n, got, want)
		}
		if got > 0 && (Hour.Sum(&w, now.Add(got-time.Second)) <= n || Hour.Sum(&w, now.Add(got)) > n) {
			t.Errorf("room for %d is not there after %s", n, got)
		}
	}
}

// TestClock: a clock that is set back a little forgets nothing, one that was
// years ahead does not block anybody for years.
func TestClock(t *testing.T) {
	var w Window
	Hour.Add(&w, at(0), 5)
	Hour.Add(&w, at(-10*time.Minute), 5)
	if got := Hour.Sum(&w, at(0)); got != 10 {
		t.Errorf("%d after a step back", got)
	}
	Hour.Add(&w, at(87600*time.Hour), 5)
	if got := Hour.Sum(&w, at(time.Hour)); got != 0 {
		t.Errorf("%d counted in ten years", got)
	}
}
