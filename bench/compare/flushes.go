package compare

import (
	"errors"
	"time"
)

// flushStage counts how often a peer waits for the disk. Counting costs time:
// nothing else is measured there.
func flushStage(sign bool) stage {
	return stage{only: "flushes", siteOptions: siteOptions{sign: sign, trace: true}, once: true, works: []*work{{
		title: "Flushes to the disk per message, " + signing(sign),
		note: "Calls of fsync, fdatasync, sync_file_range, syncfs, sync and msync by all processes, from the first MAIL until nothing more follows: " +
			"those before the 250 and those behind it.",
		columns: []column{{name: "50 clients", digits: 2, less: true, ratio: true}, {name: "one client", digits: 2, less: true}},
		run: func(s *site) ([]float64, error) {
			many, err := s.flushes(traffic{clients: manyClients, messages: scaled(2000, s.scale), size: smallSize, limit: rateTime})
			if err != nil {
				return nil, err
			}
			one, err := s.flushes(traffic{clients: 1, messages: scaled(100, s.scale), size: smallSize, limit: rateTime})
			return []float64{many, one}, err
		},
	}}}
}

func (s *site) flushes(t traffic) (perMessage float64, err error) {
	before, err := s.settledFlushes()
	if err != nil {
		return none, err
	}
	o, err := s.send(t)
	if err != nil {
		return none, err
	}
	after, err := s.settledFlushes()
	if err == nil && after == before {
		err = errors.New("not one flush was counted")
	}
	return float64(after-before) / float64(o.accepted), err
}

// settledFlushes is their number when no more have come for a while.
func (s *site) settledFlushes() (int, error) {
	const quiet, patience = 300 * time.Millisecond, 5 * time.Second
	last := -1
	for end := time.Now().Add(patience); ; time.Sleep(quiet) {
		n, err := s.box.Flushes()
		if err != nil || n == last || time.Now().After(end) {
			return n, err
		}
		last = n
	}
}
