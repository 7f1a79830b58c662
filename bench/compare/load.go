package compare

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// A traffic is what clients do.
type traffic struct {
	clients   int
	messages  int           // at most
	size      int           // octets of each
	reconnect bool          // a connection for each message
	limit     time.Duration // after which no further message is begun
	stay      bool          // the messages are not delivered: do not wait
}

// drainTime is how long what was accepted may take until it has arrived.
const drainTime = 90 * time.Second

// An outcome is what became of a traffic.
type outcome struct {
	accepted  int
	accepting time.Duration // from the first MAIL to the last 250
	arriving  time.Duration // from the first MAIL to the last arrival
	cpu       time.Duration // of the peer, until the last arrival
	peak      int64         // the most memory of the peer, in octets
}

func (o outcome) acceptRate() float64  { return float64(o.accepted) / o.accepting.Seconds() }
func (o outcome) deliverRate() float64 { return float64(o.accepted) / o.arriving.Seconds() }

// cpuMillis is none where there is no server.
func (o outcome) cpuMillis() float64 {
	if o.cpu == 0 {
		return none
	}
	return o.cpu.Seconds() * 1000 / float64(o.accepted)
}

// peakMiB is none where there is no server.
func (o outcome) peakMiB() float64 {
	if o.peak == 0 {
		return none
	}
	return mib(o.peak)
}

func mib(octets int64) float64 { return float64(octets) / (1 << 20) }

// send does it, waits until everything has arrived, and verifies that it has
// arrived once, as it was sent, and with a signature if it was to be signed.
func (s *site) send(t traffic) (outcome, error) {
	watch := s.box.Watch()
	o, err := s.measure(t)
	peak, watchErr := watch.Stop()
	o.peak = peak
	return o, errors.Join(err, watchErr)
}

func (s *site) measure(t traffic) (o outcome, err error) {
	before, err := s.box.CPU()
	if err != nil {
		return o, err
	}
	g, err := s.gather(t)
	if err != nil {
		return o, err
	}
	if err := g.run(); err != nil {
		return o, err
	}
	o.accepted, o.accepting = g.accepted(), g.accepting
	if !t.stay {
		if o.arriving, err = s.arrive(g.ledger, o.accepted); err != nil {
			return o, err
		}
	}
	after, err := s.box.CPU()
	o.cpu = after - before
	return o, err
}

// arrive waits for n messages and verifies them.
func (s *site) arrive(l *ledger, n int) (time.Duration, error) {
	took, err := l.wait(n, drainTime)
	if err == nil {
		err = l.check(n)
	}
	if err == nil && s.setup.Sign {
		err = s.keys.verify(l.kept)
	}
	return took, err
}

// A gathering is the clients of a traffic.
type gathering struct {
	traffic
	site      *site
	ledger    *ledger
	messages  []*message // one for each client
	open      []*client  // of those that keep their connections
	taken     atomic.Int64
	failed    atomic.Bool
	accepting time.Duration
}

// gather makes the messages and, for clients that keep them, the connections.
func (s *site) gather(t traffic) (*gathering, error) {
	t.messages = max(1, t.messages)
	t.clients = min(t.clients, t.messages)
	g := &gathering{traffic: t, site: s, messages: []*message{newMessage(t.size)}}
	for len(g.messages) < t.clients {
		g.messages = append(g.messages, g.messages[0].clone())
	}
	g.ledger = newLedger(s.next, t.messages, g.messages[0].clone().text())
	s.next += t.messages
	if t.reconnect {
		return g, nil
	}
	g.open = make([]*client, t.clients)
	return g, g.each(func(i int) (err error) {
		g.open[i], err = s.dial()
		return err
	})
}

func (s *site) dial() (*client, error) { return dial(s.setup.Address, s.login()) }

// each runs a function for each client at once.
func (g *gathering) each(f func(i int) error) error {
	errs := make([]error, g.clients)
	var wg sync.WaitGroup
	for i := range g.clients {
		wg.Go(func() {
			if errs[i] = f(i); errs[i] != nil {
				g.failed.Store(true)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the first says what is wrong
		}
	}
	return nil
}

// run returns when everything has been answered 250.
func (g *gathering) run() error {
	g.ledger.began = time.Now()
	if g.site.sink != nil {
		g.site.sink.ledger.Store(g.ledger)
	}
	err := g.each(g.client)
	g.accepting = time.Since(g.ledger.began)
	if g.reconnect {
		return err
	}
	return errors.Join(err, g.each(func(i int) error { return g.open[i].quit() }))
}

// client is one of them: it takes numbers until there are no more.
func (g *gathering) client(i int) error {
	m := g.messages[i]
	for !g.failed.Load() && time.Since(g.ledger.began) < g.limit {
		n := int(g.taken.Add(1)) - 1
		if n >= g.traffic.messages {
			return nil
		}
		m.setNumber(g.ledger.first + n)
		if err := g.one(i, m); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) one(i int, m *message) error {
	if !g.reconnect {
		return g.open[i].submit(m)
	}
	c, err := g.site.dial()
	if err != nil {
		return err
	}
	return errors.Join(c.submit(m), c.quit())
}

// accepted is how many messages have been taken: without an error, all that
// were begun.
func (g *gathering) accepted() int { return min(int(g.taken.Load()), g.traffic.messages) }

// direct is no peer: its clients talk to the sink, which shows what clients
// and sink cost by themselves.
type direct struct{}

func (direct) Name() string             { return "load generator and sink alone" }
func (direct) Version() (string, error) { return "", nil }

func (direct) Start(*peers.Box, peers.Setup) (peers.Server, error) { return direct{}, nil }

func (direct) Flush() error { return nil }
func (direct) Stop() error  { return nil }
