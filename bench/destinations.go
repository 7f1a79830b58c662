package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fairness is the load of the measurement of many destinations.
type fairness struct {
	Messages, Domains int           // of the backlog; a tenth of the domains is dead
	Live              time.Duration // for so long new mail comes in
	Slow              int           // messages for one slow site
	Dir               string
	NextHop           string // of the step million
}

// A step of it runs in a process of its own, so that memory is its own.
const (
	stepEnv = "WAXWING_BENCH_STEP" // name of the step, and the load as JSON
	fill    = "fill"               // queue the backlog
	restart = "restart"            // find it, and deliver it and new mail
	empty   = "empty"              // the same new mail, with an empty queue
	slow    = "slow"               // many messages to one slow site
	million = "million"            // queue messages for one next hop, due in the next hours
)

// found is what a step has measured.
type found struct {
	First     time.Duration // from the start of the engine to the first delivery
	P50, P99  time.Duration // of new mail, from durable to delivered
	LateLive  int           // new mail that was not delivered in time
	Delivered int           // of the backlog, meanwhile
	Busy      float64       // share of the connections' time that was used
	PeakRSS   float64       // MiB
}

// destinations measures what a backlog for many destinations, a tenth of which
// is dead, does to new mail, and whether one slow site is kept busy.
func destinations(o options) error {
	f := fairness{Messages: 100_000, Domains: 10_000, Live: 10 * time.Second, Slow: 20_000}
	var err error
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if f.Dir, err = os.MkdirTemp(o.dir, "data-"); err != nil {
		return err
	}
	return errors.Join(measureFairness(f), os.RemoveAll(f.Dir))
}

func measureFairness(f fairness) error {
	fmt.Printf("%d messages for %d destinations, a tenth dead, all due; %v of new mail\n", f.Messages, f.Domains, f.Live)
	results := make(map[string]found)
	for _, step := range []string{empty, fill, restart, slow} {
		r, err := f.run(step)
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		results[step] = r
	}
	before, after := results[empty], results[restart]
	fmt.Printf("restart to the first delivery %d ms; peak RSS %.0f MiB\n", after.First.Milliseconds(), after.PeakRSS)
	fmt.Printf("new mail, p50 and p99: %d and %d ms with an empty queue, %d and %d ms with the backlog (%.1f times); %d late; %d of the backlog delivered meanwhile\n",
		before.P50.Milliseconds(), before.P99.Milliseconds(), after.P50.Milliseconds(), after.P99.Milliseconds(),
		float64(after.P99)/float64(before.P99), after.LateLive, after.Delivered)
	fmt.Printf("%d messages to one slow site: its connections are busy %.0f %% of the time\n\n", f.Slow, 100*results[slow].Busy)
	return nil
}

// run runs a step in a process of its own.
func (f fairness) run(step string) (r found, err error) {
	load, err := json.Marshal(f)
	if err != nil {
		return r, err
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), stepEnv+"="+step+" "+string(load))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// asStep runs the step that this process is for, if it is for one.
func asStep() (was bool, err error) {
	name, load, was := strings.Cut(os.Getenv(stepEnv), " ")
	if !was {
		return false, nil
	}
	var f fairness
	if err := json.Unmarshal([]byte(load), &f); err != nil {
		return true, err
	}
	steps := map[string]func(fairness) (found, error){fill: fillStep, restart: liveStep, empty: liveStep, slow: slowStep, million: millionStep}
	step, ok := steps[name]
	if !ok {
		return true, errors.New("there is no step " + name)
	}
	if name != million {
		f.Dir = filepath.Join(f.Dir, cmp.Or(map[string]string{fill: "backlog", restart: "backlog"}[name], name))
	}
	r, err := step(f)
	if err != nil {
		return true, err
	}
	r.PeakRSS = ownPeakRSS()
	return true, json.NewEncoder(os.Stdout).Encode(r)
}

// ownPeakRSS is the largest resident set of this process so far, in MiB.
func ownPeakRSS() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	var kib float64
	for s := bufio.NewScanner(file); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib / 1024
}

// quantile is the value below which a share of the sorted list lies.
func quantile(list []time.Duration, share float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(share*float64(len(list))))]
}
