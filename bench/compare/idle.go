package compare

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const idleConnections = 500

// idleStage opens connections that do nothing.
func idleStage() stage {
	return stage{only: "idle", siteOptions: siteOptions{sign: true}, once: true, works: []*work{{
		title: fmt.Sprintf("%d connections that do nothing", idleConnections),
		note:  "A server that has just been started, and then with connections that have said EHLO, without TLS. Of several processes the proportional set sizes are added up.",
		columns: []column{
			{name: "MiB before", digits: 1, less: true, ratio: true}, {name: "served"},
			{name: "MiB with them", digits: 1, less: true, ratio: true}, {name: "KiB for each", digits: 1, less: true, ratio: true},
		},
		run: func(s *site) ([]float64, error) { return s.idle(idleConnections) },
	}}}
}

// idleSettles is how long a server may tidy up before its memory is looked at.
const idleSettles = time.Second

func (s *site) idle(n int) ([]float64, error) {
	before, err := s.held()
	if err != nil {
		return nil, err
	}
	open := s.openMany(n)
	defer func() {
		for _, c := range open {
			c.conn.Close()
		}
	}()
	if len(open) == 0 {
		return nil, errors.New("not one connection was served")
	}
	with, err := s.held()
	if err != nil {
		return nil, err
	}
	for _, c := range open {
		if err := c.say("250", "NOOP"); err != nil {
			return nil, fmt.Errorf("a connection was not kept: %w", err)
		}
	}
	return []float64{mib(before), float64(len(open)), mib(with), float64(with-before) / 1024 / float64(len(open))}, nil
}

// held is what the peer holds after a moment of rest.
func (s *site) held() (int64, error) {
	time.Sleep(idleSettles)
	m, err := s.box.Memory()
	return m.Held(), err
}

// openMany opens connections at once, and returns those that were served.
func (s *site) openMany(n int) []*client {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var open []*client
	for range n {
		wg.Go(func() {
			// One that is not served is not an error here: their number is what
			// is measured.
			c, err := dialWithin(s.setup.Address, nil, idleDial)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			open = append(open, c)
		})
	}
	wg.Wait()
	return open
}

// idleDial is how long a connection may wait for its greeting: a server that
// starts a process for each, one after the other, needs its time.
const idleDial = 40 * time.Second
