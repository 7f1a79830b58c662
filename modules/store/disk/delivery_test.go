package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/appliance/queue"
	"github.com/waxwing-mail/waxwing/modules/relay/smarthost"
)

// A post is a store with the real queue engine and a real relay, which
// delivers to a sink.
type post struct {
	t        *testing.T
	store    *Store
	relay    *smarthost.Smarthost
	engine   appliance.Engine
	pipeline *appliance.Pipeline
}

const postConcurrency = 10

func newPost(t *testing.T, fsys vfs.FS, sink *appliancetest.Sink) *post {
	p := &post{t: t, store: newStore(t, fsys, "data"), relay: smarthost.New()}
	p.store.health.pauseTime = 0
	p.relay.Address, p.relay.TLS = sink.Addr(), "none"
	must(t, p.relay.Validate())
	must(t, p.relay.Provision(&appliance.Context{Hostname: "mail.example.org"}))
	must(t, p.store.Start(t.Context()))
	settings := appliance.DefaultSettings()
	settings.Queue.Concurrency = postConcurrency
	p.engine = queue.New(appliance.EngineContext{
		Hostname: "mail.example.org", Store: p.store, Router: p, Settings: settings.Queue,
	})
	p.pipeline = &appliance.Pipeline{
		Relay: appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "out"}, p.relay),
	}
	p.pipeline.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "outgoing"}, appliance.House{
		Hostname: "mail.example.org", Spool: p.engine, Limits: settings.Limits,
	})
	must(t, p.engine.Start(t.Context()))
	return p
}

// Acquire implements appliance.Router.
func (p *post) Acquire(string) (*appliance.Pipeline, func(), bool) {
	return p.pipeline, func() {}, true
}

// stop stops everything, whether the disk works or not.
func (p *post) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = p.engine.Stop(ctx)
	_ = p.relay.Stop(context.Background())
	_ = p.store.Stop(context.Background())
}

func (p *post) send(id string) error {
	msg, err := accepted(p.store, appliance.QueueID(id), small, "bob")
	if err != nil {
		return err
	}
	msg.Received = time.Now()
	msg.Deliveries[0].Destination = "out/" + p.relay.NextHop(testMailbox("bob"))
	return p.engine.Commit(p.t.Context(), msg)
}

// arrivals counts what a sink has received, by subject.
type arrivals struct {
	mu sync.Mutex
	n  map[string]int
}

var subject = regexp.MustCompile(`(?m)^Subject: (\w+)\r$`)

func (a *arrivals) got(m *appliancetest.SinkMessage) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := subject.FindSubmatch(m.Data); s != nil {
		a.n[string(s[1])]++
	}
	return ""
}

// TestDiskFailsWhileDeliveringR4: the disk fails for good somewhere between
// accepting and settling, and what was not synced is lost. After a restart
// everything that was acknowledged arrives, and nothing more comes twice than
// what was in flight.
func TestDiskFailsWhileDeliveringR4(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			diskFails(t, int64(50+rand.New(rand.NewPCG(seed, 1)).IntN(600)))
		})
	}
}

func diskFails(t *testing.T, at int64) {
	box := &arrivals{n: make(map[string]int)}
	sink, err := appliancetest.ListenSink("127.0.0.1:0", box.got)
	must(t, err)
	defer sink.Close()
	mem := vfs.NewCrashableMem()
	var ops atomic.Int64
	p := newPost(t, errorfs.Wrap(mem, onWrite(func(errorfs.Op) error {
		if ops.Add(1) > at {
			return syscall.EIO
		}
		return nil
	})), sink)
	acked := sendAll(p)
	p.stop()
	if p.store.Healthy() == nil {
		t.Errorf("after %d operations the disk had not failed: the test shows nothing", ops.Load())
	}

	p = newPost(t, mem.CrashClone(vfs.CrashCloneCfg{}), sink)
	defer p.stop()
	box.await(t, acked)
	box.mu.Lock()
	defer box.mu.Unlock()
	again := 0
	for _, n := range box.n {
		again += n - 1
	}
	t.Logf("disk failed at operation %d: %d acknowledged, %d arrived, %d of them again", at, len(acked), len(box.n), again)
	if again > postConcurrency {
		t.Errorf("%d came twice, %d can have been in flight", again, postConcurrency)
	}
}

// sendAll has eight clients send until the store fails, and returns what was
// acknowledged.
func sendAll(p *post) map[string]bool {
	var mu sync.Mutex
	acked := make(map[string]bool)
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for n := 0; n < 1000; n++ {
				id := fmt.Sprintf("c%dn%d", c, n)
				if p.send(id) != nil {
					return
				}
				mu.Lock()
				acked[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acked
}

// await waits until all of them have arrived.
func (a *arrivals) await(t *testing.T, all map[string]bool) {
	t.Helper()
	missing := 0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		missing = 0
		a.mu.Lock()
		for id := range all {
			if a.n[id] == 0 {
				missing++
			}
		}
		a.mu.Unlock()
		if missing == 0 {
			return
		}
	}
	t.Fatalf("%d of %d acknowledged messages did not arrive", missing, len(all))
}
