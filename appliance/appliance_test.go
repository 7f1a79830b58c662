package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary records what happens to fake modules, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// take returns what was recorded since the last call.
func (d *diary) take() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := strings.Join(d.lines, " ")
	d.lines = nil
	return s
}

// part is a module that can do everything and fail anywhere.
type part struct {
	d    *diary
	name string
	fail string // "provision", "start", "stop" or "close"
}

func (m *part) step(what string) error {
	m.d.add("%s:%s", m.name, what)
	if m.fail == what {
		return errors.New(what + " fails")
	}
	return nil
}

func (m *part) Provision(*Context) error                             { return m.step("provision") }
func (m *part) Start(context.Context) error                          { return m.step("start") }
func (m *part) Stop(context.Context) error                           { return m.step("stop") }
func (m *part) Close() error                                         { return m.step("close") }
func (m *part) NextHop(to Mailbox) string                            { return to.Domain }
func (m *part) Addrs() []net.Addr                                    { return nil }
func (m *part) Deliver(context.Context, Envelope, *Message) []Result { return nil }

type fakeListener struct {
	part
	Attachment
}

type fakeStore struct {
	part
	Store
}

func (s *fakeStore) Provision(c *Context) error      { return s.part.Provision(c) }
func (s *fakeStore) Start(ctx context.Context) error { return s.part.Start(ctx) }
func (s *fakeStore) Stop(ctx context.Context) error  { return s.part.Stop(ctx) }
func (s *fakeStore) Close() error                    { return s.part.Close() }
func (s *fakeStore) Values() Values                  { return nil }

type fakeEngine struct {
	Engine
	d *diary
}

func (e *fakeEngine) Start(context.Context) error { e.d.add("engine:start"); return nil }
func (e *fakeEngine) Stop(context.Context) error  { e.d.add("engine:stop"); return nil }
func (e *fakeEngine) Configure(QueueSettings)     { e.d.add("engine:configure") }

// plant is a graph under construction: listener in → pipeline road → relay out.
type plant struct {
	d                      *diary
	store, relay, in, road *Node
}

func newPlant() *plant {
	p := &plant{d: new(diary)}
	p.store = &Node{Addr: Addr{KindStore, "main"}, Type: "fake", Fingerprint: "1"}
	p.store.Module = &fakeStore{part: part{d: p.d, name: "store"}}
	p.in = &Node{Addr: Addr{KindListener, "in"}, Type: "fake", Fingerprint: "1"}
	p.in.Module = &fakeListener{part: part{d: p.d, name: "in"}}
	p.setRelay("relay", "1")
	return p
}

// setRelay exchanges the relay, and the pipeline with it, which depends on it.
func (p *plant) setRelay(name, fingerprint string) {
	m := &part{d: p.d, name: name}
	p.relay = &Node{Addr: Addr{KindRelay, "out"}, Type: "fake", Fingerprint: fingerprint, Module: m}
	pipeline := &Pipeline{
		Listeners: []Ref[Listener]{RefTo[Listener](p.in.Addr, p.in.Module.(Listener))},
		Relay:     RefTo[Relay](p.relay.Addr, m),
	}
	p.road = &Node{
		Addr: Addr{KindPipeline, "road"}, Fingerprint: "road" + fingerprint, Pipeline: pipeline,
		Deps: []Addr{p.in.Addr, p.relay.Addr},
	}
}

func (p *plant) graph() *Graph {
	return &Graph{Settings: DefaultSettings(), Nodes: []*Node{p.relay, p.in, p.store, p.road}}
}

func (p *plant) appliance() *Appliance {
	return New(p.graph(), Options{NewEngine: func(EngineContext) Engine { return &fakeEngine{d: p.d} }})
}

func (p *plant) expect(t *testing.T, want string) {
	t.Helper()
	if got := p.d.take(); got != want {
		t.Errorf("order of events\n got %s\nwant %s", got, want)
	}
}

func TestLifecycleOrder(t *testing.T) {
	p := newPlant()
	a := p.appliance()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "store:provision relay:provision in:provision store:start relay:start engine:start in:start")
	if err := a.Healthy(); err != nil {
		t.Errorf("Healthy: %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "in:stop engine:stop relay:stop store:stop store:close in:close relay:close")
	if a.Healthy() == nil {
		t.Error("healthy after Stop")
	}
}

func TestCheckProvisionsAndCloses(t *testing.T) {
	p := newPlant()
	if err := p.appliance().Check(); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "store:provision relay:provision in:provision store:close in:close relay:close")
}

// A failure anywhere leaves nothing started and nothing open.
func TestStartFails(t *testing.T) {
	for _, c := range []struct{ module, step, want string }{
		{"relay", "provision", "store:provision relay:provision in:provision store:close in:close relay:close"},
		{"relay", "start", "store:provision relay:provision in:provision store:start relay:start store:stop store:close in:close relay:close"},
		{"in", "start", "store:provision relay:provision in:provision store:start relay:start engine:start in:start " +
			"engine:stop relay:stop store:stop store:close in:close relay:close"},
	} {
		p := newPlant()
		a := p.appliance()
		addr := p.relay.Addr
		if c.module == "relay" {
			p.relay.Module.(*part).fail = c.step
		} else {
			p.in.Module.(*fakeListener).fail = c.step
			addr = p.in.Addr
		}
		err := a.Start(t.Context())
		e, ok := errors.AsType[*InstanceError](err)
		if !ok || e.Addr != addr {
			t.Errorf("%s %s: error %v does not blame %v", c.module, c.step, err, addr)
		}
		got := strings.Replace(p.d.take(), "engine:stop ", "", 1)
		if want := strings.Replace(c.want, "engine:stop ", "", 1); got != want {
			t.Errorf("%s %s\n got %s\nwant %s", c.module, c.step, got, want)
		}
	}
}

func TestProvisionReportsEveryError(t *testing.T) {
	p := newPlant()
	p.relay.Module.(*part).fail = "provision"
	p.in.Module.(*fakeListener).fail = "provision"
	err := p.appliance().Check()
	if s := fmt.Sprint(err); !strings.Contains(s, "relay.out") || !strings.Contains(s, "listener.in") {
		t.Errorf("error does not name both: %v", err)
	}
}

// P12: what did not change survives; what replaces is there before what it
// replaces goes, and that goes only when nothing uses it any more.
func TestReload(t *testing.T) {
	p := newPlant()
	a := p.appliance()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(t.Context())
	p.d.take()

	_, release, ok := a.Acquire("road") // an attempt on the old pipeline is under way
	if !ok {
		t.Fatal("no pipeline road")
	}
	old := a.Graph()
	p.setRelay("relay2", "2")
	next := p.graph()
	steps := fmt.Sprint(old.Diff(next))
	want := "[{replace relay.out fake its block, or a setting it depends on, changes} {keep listener.in fake } " +
		"{keep store.main fake } {replace pipeline.road  relay.out changes}]"
	if steps != want {
		t.Errorf("plan\n got %s\nwant %s", steps, want)
	}
	if err := a.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "relay2:provision relay2:start engine:configure")

	now, release2, _ := a.Acquire("road")
	if now != p.road.Pipeline {
		t.Error("new work uses the old pipeline")
	}
	release2()
	if via, r := p.in.Module.(*fakeListener).Acquire(); via != p.road.Pipeline {
		t.Error("the listener that was kept uses the old pipeline")
	} else {
		r()
	}
	p.expect(t, "") // the old relay is still there for the attempt
	release()
	a.retiring.Wait()
	p.expect(t, "relay:stop relay:close")
}

// forgetful is a store that remembers something.
type forgetful struct{ fakeStore }

func (f *forgetful) Forget() { f.d.add("store:forget") }

// What is kept forgets what it has remembered, if the reload succeeds.
func TestReloadForgets(t *testing.T) {
	p := newPlant()
	p.store.Module = &forgetful{fakeStore{part: part{d: p.d, name: "store"}}}
	a := p.appliance()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.d.take()
	if err := a.Reload(t.Context(), p.graph()); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "store:forget engine:configure")
	p.setRelay("relay2", "2")
	p.relay.Module.(*part).fail = "start"
	if err := a.Reload(t.Context(), p.graph()); err == nil {
		t.Error("no error")
	}
	p.expect(t, "relay2:provision relay2:start relay2:close")
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReloadThatFailsChangesNothing(t *testing.T) {
	p := newPlant()
	a := p.appliance()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, old := a.Graph(), p.road.Pipeline
	p.d.take()
	p.setRelay("relay2", "2")
	p.relay.Module.(*part).fail = "start"
	if err := a.Reload(t.Context(), p.graph()); err == nil {
		t.Fatal("no error")
	}
	p.expect(t, "relay2:provision relay2:start relay2:close")
	if a.Graph() != before {
		t.Error("the graph has changed")
	}
	if got, r := p.in.Module.(*fakeListener).Acquire(); got != old {
		t.Error("the listener's pipeline has changed")
	} else {
		r()
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReloadRefusesAnotherStore(t *testing.T) {
	p := newPlant()
	a := p.appliance()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(t.Context())
	p.store = &Node{Addr: p.store.Addr, Fingerprint: "2", Module: &fakeStore{part: part{d: p.d, name: "other"}}}
	if err := a.Reload(t.Context(), p.graph()); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("error %v does not say to restart", err)
	}
}

// Stop does not wait for ever for what a reload replaced.
func TestStopCutsWhatIsRetiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant()
		a := p.appliance()
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, release, _ := a.Acquire("road")
		p.setRelay("relay2", "2")
		if err := a.Reload(t.Context(), p.graph()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("Stop took %v", took)
		}
		release()
	})
}

// lodger is a listener with a session that does not end by itself.
type lodger struct {
	fakeListener
	stayed time.Duration
}

func (l *lodger) Retire(ctx context.Context) {
	began := time.Now()
	<-ctx.Done()
	l.stayed = time.Since(began)
}

// P12: sessions of a listener that a reload replaces go on for a while, and
// not when the server stops.
func TestReplacedListenerRetires(t *testing.T) {
	for _, stop := range []time.Duration{time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlant()
			old := &lodger{fakeListener: fakeListener{part: part{d: p.d, name: "in"}}}
			p.in.Module = old
			p.setRelay("relay", "1")
			a := p.appliance()
			if err := a.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.in = &Node{Addr: p.in.Addr, Type: "fake", Fingerprint: "2", Module: &fakeListener{part: part{d: p.d, name: "in2"}}}
			p.setRelay("relay", "2")
			p.d.take()
			if err := a.Reload(t.Context(), p.graph()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(stop)
			if err := a.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if want := min(stop, partTime); old.stayed != want {
				t.Errorf("server stopped after %v: sessions stayed %v, want %v", stop, old.stayed, want)
			}
		})
	}
}
