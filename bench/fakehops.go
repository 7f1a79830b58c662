package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/queue"
	"github.com/waxwing-mail/waxwing/modules/store/disk"
)

const (
	hopTime   = 20 * time.Millisecond // of a delivery
	deadTime  = 30 * time.Second      // until a dead host is given up: connect_timeout of relay "mx"
	slowHops  = 10                    // connections of the slow site
	liveEvery = 5 * time.Millisecond  // a new message
	liveHosts = 200
	lateTime  = 30 * time.Second
	batchSize = 200
)

var deadReply = appliance.NewReply(451, 4, 1, "connection timed out")

// hops is a relay to mail servers that do not exist: those of the domains
// "dead-N" do not answer, all others take what they get, and their time.
type hops struct {
	mu       sync.Mutex
	began    time.Time // of the engine
	first    time.Duration
	got      map[appliance.QueueID]time.Time // new mail
	backlog  int
	busy     time.Duration
	inFlight int
	last     time.Time
}

var _ appliance.SitedRelay = (*hops)(nil)

func (h *hops) Provision(*appliance.Context) error  { return nil }
func (h *hops) NextHop(to appliance.Mailbox) string { return to.Domain }

func (h *hops) Site(_ context.Context, nextHop string) (appliance.Site, error) {
	s := appliance.Site{Name: nextHop}
	if strings.HasPrefix(nextHop, "slow") {
		s.Limits.Connections = slowHops
	}
	return s, nil
}

func (h *hops) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message) []appliance.Result {
	domain := env.Recipients[0].Mailbox.Domain
	wait, reply := hopTime, appliance.NewReply(250, 0, 0, "taken")
	if strings.HasPrefix(domain, "dead") {
		wait, reply = deadTime, deadReply
	}
	h.account(1)
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	h.account(-1)
	if reply.Positive() {
		h.arrived(msg.ID, domain)
	}
	return appliance.Results(len(env.Recipients), appliance.Result{Reply: *reply, Remote: reply.Positive(), Host: domain})
}

// account adds up the time in which connections are used.
func (h *hops) account(change int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.busy += time.Duration(h.inFlight) * now.Sub(h.last)
	h.inFlight, h.last = h.inFlight+change, now
}

func (h *hops) arrived(id appliance.QueueID, domain string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first == 0 {
		h.first = time.Since(h.began)
	}
	if strings.HasPrefix(domain, "live") {
		h.got[id] = time.Now()
	} else {
		h.backlog++
	}
}

// bench is an engine over a store on disk.
type bench struct {
	*hops
	store    *disk.Store
	engine   appliance.Engine
	pipeline *appliance.Pipeline
}

// Acquire implements appliance.Router.
func (b *bench) Acquire(string) (*appliance.Pipeline, func(), bool) {
	return b.pipeline, func() {}, true
}

// AcquireRelay implements appliance.RelayFinder.
func (b *bench) AcquireRelay(string) (appliance.Relay, func(), bool) {
	return b.hops, func() {}, true
}

// openBench opens the store in a directory; the engine does not run yet.
func openBench(dir string) (*bench, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b := &bench{hops: &hops{got: make(map[appliance.QueueID]time.Time)}, store: disk.New()}
	if err := b.store.Provision(&appliance.Context{DataDir: dir}); err != nil {
		return nil, err
	}
	if err := b.store.Start(context.Background()); err != nil {
		return nil, err
	}
	settings := appliance.DefaultSettings()
	b.engine = queue.New(appliance.EngineContext{
		Hostname: "bench.example.com", Store: b.store, Router: b, Settings: settings.Queue,
	})
	b.pipeline = &appliance.Pipeline{
		Relay: appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "mx"}, b.hops),
	}
	b.pipeline.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "bench"}, appliance.House{
		Hostname: "bench.example.com", Spool: b.engine, Limits: settings.Limits,
	})
	return b, nil
}

// start starts the engine. What is read from now on is its work.
func (b *bench) start() error {
	b.began, b.last = time.Now(), time.Now()
	return b.engine.Start(context.Background())
}

// stop ends everything. Attempts at dead hosts are cut off.
func (b *bench) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = b.engine.Stop(ctx)
	return b.store.Stop(context.Background())
}

// message makes a message of 2 KiB for a domain.
func (b *bench) message(domain string) (appliance.Accepted, error) {
	draft, err := b.store.Draft(context.Background())
	if err != nil {
		return appliance.Accepted{}, err
	}
	if _, err := fmt.Fprintf(draft, "\r\n%s\r\n", strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 45)); err != nil {
		return appliance.Accepted{}, err
	}
	now := time.Now()
	to := appliance.Recipient{Mailbox: appliance.Mailbox{Local: "someone", Domain: domain}}
	m := appliance.Accepted{
		ID: appliance.NewQueueID(now), Received: now, Draft: draft,
		Origin: appliance.Origin{Pipeline: "bench", User: "app"},
		Envelope: appliance.Envelope{
			From: appliance.Mailbox{Local: "app", Domain: "example.com"}, Recipients: []appliance.Recipient{to},
		},
		Deliveries: []appliance.Delivery{{
			Destination: "mx/" + domain, Due: now, Recipients: []appliance.RecipientState{{Recipient: to}},
		}},
	}
	m.Header.Append(appliance.NewField("Subject", "bench"))
	return m, nil
}

// deferred makes a message one that has been attempted before.
func deferred(m *appliance.Accepted) {
	d := &m.Deliveries[0]
	to := &d.Recipients[0]
	d.Attempts, to.When = 3, time.Now().Add(-time.Hour)
	to.Last = appliance.Result{Reply: *appliance.NewReply(451, 7, 1, "please come back later"), Remote: true}
	if strings.HasPrefix(to.Mailbox.Domain, "dead") {
		to.Last = appliance.Result{Reply: *deadReply}
	}
}

// commit queues n messages, for the domains that name returns.
func (b *bench) commit(n int, to appliance.Spool, name func(i int) string, change ...func(*appliance.Accepted)) error {
	for i := 0; i < n; {
		var batch []appliance.Accepted
		for ; len(batch) < batchSize && i < n; i++ {
			m, err := b.message(name(i))
			if err != nil {
				return err
			}
			for _, f := range change {
				f(&m)
			}
			batch = append(batch, m)
		}
		if err := to.Commit(context.Background(), batch...); err != nil {
			return err
		}
	}
	return nil
}
