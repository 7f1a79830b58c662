package compare

import (
	"errors"
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// millionStage starts Waxwing over a queue that is already there.
func millionStage(fill Fill, scale float64) stage {
	n := scaled(1_000_000, scale)
	prepare := func(s peers.Setup) error { return fill(peers.WaxwingData(s), s.NextHop, n) }
	return stage{only: "million", siteOptions: siteOptions{sign: true, down: true, prepare: prepare}, once: true, own: true, works: []*work{{
		title: counted(n) + " messages of 2 KiB in the queue",
		note:  "From the start of the process until it listens, and the most memory in the three seconds that follow. The messages wait for a next hop that is down; some become due each second.",
		columns: []column{
			{name: "queued"}, {name: "start s", digits: 2, less: true, ratio: true}, {name: "peak MiB", less: true, ratio: true},
		},
		run: func(s *site) ([]float64, error) { return s.afterStart(n) },
	}}}
}

// afterStart looks at a server that has been started over n messages.
func (s *site) afterStart(n int) ([]float64, error) {
	watch := s.box.Watch()
	time.Sleep(3 * time.Second)
	peak, err := watch.Stop()
	if err != nil {
		return nil, err
	}
	counts, ok := s.server.(interface{ Queued() (int, error) })
	if !ok {
		return nil, errors.New("this peer does not say what is in its queue")
	}
	queued, err := counts.Queued()
	if err == nil && queued != n {
		err = fmt.Errorf("%d messages are in the queue, not %d", queued, n)
	}
	return []float64{float64(queued), s.started.Seconds(), mib(peak)}, err
}
