package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestChaos sends mail while the next hops, the store, the clock and the
// modules fail at random and the server is restarted, then lets everything
// heal. Every recipient must have come to exactly one end (P6), who
// was delivered must not have got the message twice (P4), and every failure
// must have exactly one report (P7).
func TestChaos(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { newChaos(t, seed).run() })
		})
	}
}

type chaos struct {
	*house
	mu   sync.Mutex
	rand *rand.Rand
	calm bool // everything works
	got  map[string]int
	sent []string // id and recipient
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{rand: rand.New(rand.NewPCG(seed, 1)), got: make(map[string]int)}
	c.house = newHouse(t, func(in *appliance.EngineContext) {
		in.Rand = rand.New(rand.NewPCG(seed, 2))
		in.Settings.Concurrency, in.Settings.DestinationConcurrency = 8, 3
	})
	for i := range 6 {
		c.relay.answer(fmt.Sprintf("d%d.example", i), c.deliver)
	}
	c.relay.answer("example.com", c.deliver) // where the reports go
	return c
}

func (c *chaos) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calm {
		return n - 1
	}
	return c.rand.IntN(n)
}

// deliver is every next hop: what it answers 250 to, it has.
func (c *chaos) deliver(ctx context.Context, env appliance.Envelope) []appliance.Result {
	switch c.roll(12) {
	case 0:
		return silence(time.Minute)(ctx, env)
	case 1:
		panic("a bug")
	case 2:
		return nil
	case 3:
		return says(421, 4, 5, "too many connections")(ctx, env)
	case 4:
		time.Sleep(time.Duration(c.roll(30)) * time.Second)
	}
	results := appliance.Results(len(env.Recipients), appliance.Result{Remote: true})
	for i, to := range env.Recipients {
		results[i].Reply = c.answerFor(env, to)
	}
	return results
}

func (c *chaos) answerFor(env appliance.Envelope, to appliance.Recipient) appliance.Reply {
	if !env.From.IsNull() {
		switch c.roll(4) {
		case 0:
			return *appliance.NewReply(451, 7, 1, "greylisted")
		case 1:
			return *appliance.NewReply(550, 1, 1, "no such user")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !env.From.IsNull() {
		c.got[env.EnvelopeID+" "+to.Mailbox.String()]++
	}
	return *appliance.NewReply(250, 0, 0, "ok")
}

func (c *chaos) run() {
	c.boot()
	for range 60 {
		c.step()
	}
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	c.store.set(func(s *fakeStore) { s.leaseErr, s.settleErr, s.scanErr = nil, nil, nil })
	after(10 * 24 * time.Hour)
	c.check()
	c.stop()
}

func (c *chaos) boot() {
	c.t.Helper()
	if err := c.engine.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// step does one thing that happens to a mail server.
func (c *chaos) step() {
	switch c.roll(10) {
	case 0, 1, 2, 3:
		c.submit()
	case 4:
		c.store.set(func(s *fakeStore) { s.leaseErr = []error{nil, nil, errStore}[c.roll(3)] })
	case 5:
		c.store.set(func(s *fakeStore) { s.settleErr = []error{nil, appliance.ErrFull}[c.roll(2)] })
	case 6:
		c.store.set(func(s *fakeStore) { s.scanErr = []error{nil, nil, errStore}[c.roll(3)] })
	case 7:
		c.jump([]time.Duration{-6 * 24 * time.Hour, -time.Hour, time.Hour, 24 * time.Hour}[c.roll(4)])
	case 8:
		c.restart()
	case 9:
		c.engine.Configure(c.engine.queueSettings())
	}
	after(time.Duration(c.roll(600)) * time.Second)
}

func (c *chaos) submit() {
	var to []string
	for i := range 1 + c.roll(5) {
		to = append(to, fmt.Sprintf("u%d@d%d.example", i, c.roll(6)))
	}
	m := c.message("ann@example.com", to...)
	m.Envelope.EnvelopeID = string(m.ID)
	for _, s := range to {
		c.sent = append(c.sent, string(m.ID)+" "+s)
	}
	c.commit(m)
}

// restart stops the server in good order: a broken store would lose outcomes,
// and then a message may come twice.
func (c *chaos) restart() {
	c.store.set(func(s *fakeStore) { s.leaseErr, s.settleErr, s.scanErr = nil, nil, nil })
	after(2 * maxBackoff)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := c.engine.Stop(ctx); err != nil {
		// A relay that sleeps does not hear that it has to stop.
		synctest.Wait()
		after(time.Minute)
	}
	c.engine = New(c.engine.house).(*engine)
	c.pipes["out"] = c.pipeline("out")
	c.boot()
}

func (c *chaos) check() {
	c.t.Helper()
	if left := c.store.left(); len(left) != 0 {
		c.t.Errorf("%d deliveries left, the first: %+v", len(left), left[0])
	}
	ends := make(map[string]appliance.EventKind)
	bounced := 0
	for _, e := range c.told(appliance.EventDelivered, appliance.EventBounced) {
		if e.From.IsNull() {
			continue
		}
		ends[string(e.ID)+" "+e.To.String()] = e.Kind // oneEnd has seen to it that there is one
		if e.Kind == appliance.EventBounced {
			bounced++
		}
	}
	for _, s := range c.sent {
		switch kind, got := ends[s], c.got[s]; {
		case kind == "":
			c.t.Errorf("%s has come to no end", s)
		case kind == appliance.EventDelivered && got != 1, kind == appliance.EventBounced && got != 0:
			c.t.Errorf("%s was %s, and received %d times", s, kind, got)
		}
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	reported := 0
	for _, r := range c.store.reports {
		text := r.Draft.(*fakeDraft).String()
		if actionField.FindStringSubmatch(text)[1] == "failed" {
			reported += len(statusField.FindAllString(text, -1))
		}
	}
	if reported != bounced {
		c.t.Errorf("%d recipients bounced, %d reported", bounced, reported)
	}
}
