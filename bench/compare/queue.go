package compare

import (
	"errors"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// queueStage lets a queue grow while the next hop does not listen, and drain
// when it is back.
func queueStage(scale float64) stage {
	t := traffic{clients: manyClients, messages: scaled(20_000, scale), size: smallSize, limit: 20 * time.Second, stay: true}
	return stage{only: "queue", siteOptions: siteOptions{sign: true, down: true}, once: true, works: []*work{{
		title: counted(t.messages) + " messages of 4 KiB for a next hop that is down, 50 clients, " + signing(true),
		note:  "A peer that has not taken them after 20 s goes on with those that it has. Then the next hop is back, and the peer is told to try its queue.",
		columns: []column{
			{name: "accepted/s", ratio: true}, {name: "queued"}, {name: "peak MiB", less: true, ratio: true},
			{name: "drained/s", ratio: true}, {name: "peak MiB then", less: true},
		},
		run: func(s *site) ([]float64, error) { return s.backlog(t) },
	}}}
}

func (s *site) backlog(t traffic) ([]float64, error) {
	watch := s.box.Watch()
	g, err := s.gather(t)
	if err == nil {
		err = g.run()
	}
	grown, watchErr := watch.Stop()
	if err := errors.Join(err, watchErr); err != nil {
		return nil, err
	}
	row := []float64{float64(g.accepted()) / g.accepting.Seconds(), float64(g.accepted()), mib(grown), none, none}
	watch = s.box.Watch()
	took, err := s.drain(g)
	full, watchErr := watch.Stop()
	switch {
	case errors.Is(err, peers.ErrNoFlush):
		return row, nil
	case err == nil:
		row[3], row[4] = float64(g.accepted())/took.Seconds(), mib(full)
	}
	return row, errors.Join(err, watchErr)
}

// drain brings the next hop back, has everything tried, and returns how long
// that took.
func (s *site) drain(g *gathering) (time.Duration, error) {
	if err := s.bringUp(); err != nil {
		return 0, err
	}
	s.sink.ledger.Store(g.ledger)
	begin := time.Since(g.ledger.began)
	if err := s.server.Flush(); err != nil {
		return 0, err
	}
	last, err := s.arrive(g.ledger, g.accepted())
	return last - begin, err
}
