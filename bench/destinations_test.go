package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if was, err := asStep(); was {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestFairness is the measurement of many destinations in small: a restart with
// a backlog of which a tenth is dead, beside new mail. The figures are bounds
// that a busy machine keeps too.
func TestFairness(t *testing.T) {
	f := fairness{Messages: 2000, Domains: 500, Live: time.Second, Slow: 500, Dir: t.TempDir()}
	for _, step := range []string{fill, restart, slow} {
		r, err := f.run(step)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		switch step {
		case restart:
			if r.First == 0 || r.First > 5*time.Second {
				t.Errorf("restart to the first delivery: %v", r.First)
			}
			if r.LateLive > 0 || r.P99 > 5*time.Second {
				t.Errorf("new mail: %d late, p99 %v", r.LateLive, r.P99)
			}
			if r.Delivered == 0 {
				t.Error("nothing of the backlog was delivered beside the dead")
			}
			if r.PeakRSS > 200 {
				t.Errorf("peak RSS %.0f MiB", r.PeakRSS)
			}
		case slow:
			if r.Busy < 0.5 {
				t.Errorf("connections to a slow site are busy %.0f %% of the time", 100*r.Busy)
			}
		}
	}
}
