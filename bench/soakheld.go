package main

import (
	"context"
	"fmt"
	"time"
)

// soakHeld is what the server held: idle before, under load, and idle after.
type soakHeld struct {
	before, after soakSample
	during        []soakSample
}

// soakSlack is how many goroutines and descriptors an idle server may hold more
// than it did when it had just started: a connection kept here and there.
const soakSlack = 10

// soakGrowth is how much the resident set may be larger, in MiB and as a part,
// in the last quarter of the load than in the second: the noise of a collected
// heap and of faults that come at random.
const (
	soakGrowth     = 24
	soakGrowthPart = 0.25
)

// watch takes a sample each second until ctx ends.
func (k *soak) watch(ctx context.Context) error {
	for sleep(ctx, time.Second) {
		s, err := k.server.sample()
		if err != nil {
			return fmt.Errorf("the server is not there to be measured: %w", err)
		}
		k.held.during = append(k.held.during, s)
	}
	return nil
}

func (h *soakHeld) returned() bool {
	return h.after.goroutines <= h.before.goroutines+soakSlack && h.after.descriptors <= h.before.descriptors+soakSlack
}

func (h *soakHeld) idle() string {
	return fmt.Sprintf("idle before and after: %.0f and %.0f goroutines, %.0f and %.0f descriptors, %.0f and %.0f MiB",
		h.before.goroutines, h.after.goroutines, h.before.descriptors, h.after.descriptors, h.before.rss, h.after.rss)
}

func goroutinesOf(s soakSample) float64  { return s.goroutines }
func descriptorsOf(s soakSample) float64 { return s.descriptors }
func rssOf(s soakSample) float64         { return s.rss }

// slope is the growth per minute by least squares, without the first quarter,
// in which the server warms up.
func (h *soakHeld) slope(of func(soakSample) float64) float64 {
	warm := h.during[len(h.during)/4:]
	if len(warm) < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for _, s := range warm {
		x, y := s.at.Sub(warm[0].at).Minutes(), of(s)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(warm))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func mean(samples []soakSample, of func(soakSample) float64) (sum float64) {
	for _, s := range samples {
		sum += of(s)
	}
	return sum / float64(max(1, len(samples)))
}

// verdict compares the last quarter of the load with the second. Goroutines
// and descriptors have been compared idle.
func (h *soakHeld) verdict() error {
	q := len(h.during) / 4
	if q == 0 {
		return fmt.Errorf("%d samples show nothing", len(h.during))
	}
	second, last := mean(h.during[q:2*q], rssOf), mean(h.during[3*q:], rssOf)
	if last > second+max(soakGrowth, second*soakGrowthPart) {
		return fmt.Errorf("the resident set has grown from %.0f to %.0f MiB (P17)", second, last)
	}
	return nil
}
