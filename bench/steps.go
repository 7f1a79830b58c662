package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// fillStep queues the backlog, as a server leaves it that stops.
func fillStep(f fairness) (found, error) {
	b, err := openBench(f.Dir)
	if err != nil {
		return found{}, err
	}
	err = b.commit(f.Messages, b.store, func(i int) string {
		n := i % f.Domains
		if n%10 == 0 {
			return fmt.Sprintf("dead-%d.example", n)
		}
		return fmt.Sprintf("host-%d.example", n)
	}, deferred)
	return found{}, errors.Join(err, b.stop())
}

// liveStep starts the engine over what is there and measures new mail.
func liveStep(f fairness) (r found, err error) {
	b, err := openBench(f.Dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(); err != nil {
		return r, err
	}
	sent, err := b.live(f.Live)
	if err != nil {
		return r, err
	}
	times, late := b.latencies(sent)
	b.mu.Lock()
	defer b.mu.Unlock()
	r.First, r.Delivered, r.LateLive = b.first, b.backlog, late
	r.P50, r.P99 = quantile(times, 0.5), quantile(times, 0.99)
	return r, nil
}

// live commits new messages, one at a time, and returns when each was durable.
func (b *bench) live(during time.Duration) (map[appliance.QueueID]time.Time, error) {
	sent := make(map[appliance.QueueID]time.Time)
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		m, err := b.message(fmt.Sprintf("live-%d.example", len(sent)%liveHosts))
		if err != nil {
			return nil, err
		}
		if err := b.engine.Commit(context.Background(), m); err != nil {
			return nil, err
		}
		sent[m.ID] = time.Now()
	}
	return sent, nil
}

// latencies waits for the new mail and returns how long each message took. What
// does not arrive counts as lateTime.
func (b *bench) latencies(sent map[appliance.QueueID]time.Time) (all []time.Duration, late int) {
	for end := time.Now().Add(lateTime); time.Now().Before(end) && b.arrivals() < len(sent); {
		time.Sleep(hopTime)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, began := range sent {
		if at, ok := b.got[id]; ok {
			all = append(all, at.Sub(began))
		} else {
			all = append(all, lateTime)
			late++
		}
	}
	return all, late
}

func (b *bench) arrivals() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

// slowStep measures how much of a site's connections is used.
func slowStep(f fairness) (r found, err error) {
	b, err := openBench(f.Dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.commit(f.Slow, b.store, func(int) string { return "slow.example" }); err != nil {
		return r, err
	}
	if err := b.start(); err != nil {
		return r, err
	}
	for done := 0; done < f.Slow; {
		if time.Since(b.began) > time.Duration(f.Slow)*hopTime+lateTime {
			return r, fmt.Errorf("%d of %d messages in %v", done, f.Slow, time.Since(b.began))
		}
		time.Sleep(hopTime)
		b.mu.Lock()
		done = b.backlog
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Busy = float64(b.busy) / float64(slowHops*b.last.Sub(b.began))
	return r, nil
}
