package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// An Appliance runs a [Graph].
//
//	a := appliance.New(graph, options)
//	err := a.Start(ctx)         // all of it runs, or none of it
//	err = a.Reload(ctx, next)   // from one graph to the next, or nothing changes
//	err = a.Stop(ctx)           // drains until ctx ends, then cuts
//
// The methods may be called from any goroutine; Start, Reload and Stop wait
// for each other.
type Appliance struct {
	opts    Options
	log     *zap.Logger
	sockets Sockets
	core    *prometheus.Registry
	events  eventSinks

	memory   *Memory // for what clients make us keep
	timeouts *prometheus.CounterVec
	logins   LoginGuard   // nil if there is none
	resolver Resolver     // what instances get
	aligner  Aligner      // nil if there is none
	stub     StubResolver // the same, if it is ours to configure and to close; else nil

	lifecycle sync.Mutex            // one of Start, Reload, Stop at a time
	graph     atomic.Pointer[Graph] // what runs, or is about to
	roads     atomic.Pointer[roads] // the pipelines that queued mail is routed by
	engine    Engine
	running   atomic.Bool
	retiring  sync.WaitGroup  // what a reload replaced, on its way out
	drain     context.Context // while what is retiring may finish its work
	cut       context.CancelFunc
	stay      context.Context // while sessions of replaced listeners may go on
	leave     context.CancelFunc
}

// roads are pipelines by name.
type roads map[string]*Pipeline

// Options is what an Appliance needs of the program around it.
type Options struct {
	Log       *zap.Logger                // nil logs nothing
	NewEngine func(EngineContext) Engine // queue.New
	// resolver.New; nil is net.DefaultResolver, for what looks nothing up.
	NewResolver func(ResolverContext) StubResolver
	Resolver    Resolver // in place of that, for tests
	// logins.New; nil lets passwords be guessed as often as connections allow.
	NewLogins func(LoginContext) LoginGuard
	// alignment.New; nil judges alignment by the names of domains alone.
	NewAligner func(AlignerContext) Aligner
	Events     []EventSink      // further readers of events; those that are prometheus.Collectors are collected
	Now        func() time.Time // nil is time.Now
	Drain      time.Duration    // how long replaced instances may finish their work; 0 is 10 minutes
	Memory     Size             // what the process may use, 0 if that is not known: see Limits.MaxMemory
}

// New returns an Appliance for the graph. Nothing has happened to its modules yet.
func New(g *Graph, o Options) *Appliance {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Drain == 0 {
		o.Drain = 10 * time.Minute
	}
	a := &Appliance{opts: o, log: o.Log, core: prometheus.NewRegistry()}
	a.drain, a.cut = context.WithCancel(context.Background())
	a.stay, a.leave = context.WithCancel(a.drain)
	a.events = append(eventSinks{newEventLog(o.Log, g.Settings.Log), newEventMetrics(a.core), instanceEvents{a}}, o.Events...)
	for _, sink := range o.Events {
		if c, ok := sink.(prometheus.Collector); ok {
			a.core.MustRegister(c)
		}
	}
	a.graph.Store(g)
	a.memory = NewMemory(g.Settings.Limits.memory(o.Memory))
	a.core.MustRegister(a.memory.collectors()...)
	a.timeouts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "waxwing_module_timeouts_total",
		Help: "Calls of checks, rewrites, signers and authenticators that took longer than limits.check_timeout.",
	}, []string{"module"})
	a.core.MustRegister(a.timeouts)
	a.openResolver(g.Settings)
	if o.NewAligner != nil {
		a.aligner = o.NewAligner(AlignerContext{Hostname: g.Settings.Hostname, Resolver: a.resolver})
	}
	if o.NewLogins != nil {
		a.logins = o.NewLogins(LoginContext{
			Settings: g.Settings.Logins, Hostname: g.Settings.Hostname, Events: a.events,
			Log: a.log.Named("logins"), Metrics: a.core, Now: o.Now,
		})
	}
	return a
}

func (a *Appliance) openResolver(s Settings) {
	switch {
	case a.opts.Resolver != nil:
		a.resolver = a.opts.Resolver
	case a.opts.NewResolver != nil:
		a.stub = a.opts.NewResolver(ResolverContext{Settings: s, Log: a.log.Named("resolver"), Metrics: a.core})
		a.resolver = a.stub
	default:
		a.resolver = net.DefaultResolver
	}
}

func (a *Appliance) closeResolver() error {
	if a.stub == nil {
		return nil
	}
	return a.stub.Close()
}

// Graph returns the configuration that runs.
func (a *Appliance) Graph() *Graph { return a.graph.Load() }

// Engine returns the queue engine; nil before Start.
func (a *Appliance) Engine() Engine { return a.engine }

// Logins returns the guard of log-ins; nil if there is none.
func (a *Appliance) Logins() LoginGuard { return a.logins }

// Store returns the store; nil if the graph has none.
func (a *Appliance) Store() Store { return storeOf(a.Graph()) }

func storeOf(g *Graph) Store {
	for _, n := range g.of(KindStore) {
		return n.Module.(Store)
	}
	return nil
}

// Check takes every instance through Provision and Close: what "waxwing
// validate" does. It works beside a running server. The error joins an
// [InstanceError] for each instance that failed.
func (a *Appliance) Check() error { return a.Inspect(func() {}) }

// Inspect is Check with a look at the instances when all are provisioned, and
// before they are closed. look is not called if one of them failed.
func (a *Appliance) Inspect(look func()) error {
	g := a.Graph()
	err := a.provision(g)
	if err == nil {
		look()
	}
	return errors.Join(err, closeNodes(g.Nodes), a.closeResolver())
}

// Start starts everything: the store, the other modules in dependency order,
// the queue engine and at last the listeners, so that no mail is accepted
// before all of its road is there. If something fails, what had started is
// stopped and closed again.
func (a *Appliance) Start(ctx context.Context) error {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()
	g := a.Graph()
	err := a.provision(g)
	if err == nil {
		err = a.start(ctx, g)
	}
	if err != nil {
		return errors.Join(err, a.stop(context.WithoutCancel(ctx), g))
	}
	a.running.Store(true)
	return nil
}

func (a *Appliance) start(ctx context.Context, g *Graph) error {
	store := storeOf(g)
	if store == nil {
		return errors.New("no store: link one into the program, or declare a store block")
	}
	a.engine = a.opts.NewEngine(EngineContext{
		Hostname: g.Settings.Hostname, Store: store, Router: a, Settings: g.Settings.Queue,
		Events: a.events, Log: a.log.Named("queue"), Metrics: a.core, Now: a.opts.Now,
	})
	if err := startNodes(ctx, storeFirst(g.Nodes), notListener); err != nil {
		return err
	}
	a.openPipelines(g)
	a.roads.Store(roadsOf(g))
	if err := a.engine.Start(ctx); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	a.attach(g, isListener)
	return startNodes(ctx, g.Nodes, isListener)
}

// Reload goes from the running graph to next, which config.Load made with the
// running one as its previous, so that unchanged nodes are the same. New
// instances start beside the old ones; when all of them run, new transactions
// and deliveries use them, and the old ones stop when what they had begun is
// done. If anything fails, nothing has changed.
func (a *Appliance) Reload(ctx context.Context, next *Graph) error {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()
	if !a.running.Load() {
		return errNotRunning
	}
	old := a.Graph()
	if storeOf(old) != storeOf(next) {
		return errors.New("the store cannot be exchanged while the server runs: restart it to use the new store block or data_dir")
	}
	fresh := without(next.Nodes, old.Nodes)
	if err := a.bringUp(ctx, next, fresh); err != nil {
		// ctx may be what failed.
		return errors.Join(err, stopNodes(context.WithoutCancel(ctx), fresh), closeNodes(fresh))
	}
	a.attach(next, isListener)
	a.graph.Store(next)
	for _, n := range without(next.Nodes, fresh) {
		if f, ok := n.Module.(Forgetter); ok {
			f.Forget()
		}
	}
	a.roads.Store(roadsOf(next))
	a.engine.Configure(next.Settings.Queue)
	a.memory.SetLimit(next.Settings.Limits.memory(a.opts.Memory))
	if a.stub != nil {
		a.stub.Configure(next.Settings)
	}
	if a.logins != nil {
		a.logins.Configure(next.Settings.Logins)
	}
	gone := without(old.Nodes, next.Nodes)
	a.retiring.Go(func() { a.retire(gone) })
	return nil
}

// bringUp starts the fresh nodes of next beside what runs.
func (a *Appliance) bringUp(ctx context.Context, next *Graph, fresh []*Node) error {
	if err := a.provisionNodes(next, fresh); err != nil {
		return err
	}
	if err := startNodes(ctx, fresh, notListener); err != nil {
		return err
	}
	a.openPipelines(next)
	a.attach(next, func(n *Node) bool { return isListener(n) && slices.Contains(fresh, n) })
	return startNodes(ctx, fresh, isListener)
}

// retire stops instances that a reload replaced: listeners finish their
// sessions, pipelines their transactions and attempts, then the modules that
// these used can go.
func (a *Appliance) retire(gone []*Node) {
	ctx, cancel := context.WithTimeout(a.drain, a.opts.Drain)
	defer cancel()
	listeners := filter(gone, isListener)
	a.part(listeners)
	err := stopNodes(ctx, listeners)
	for _, n := range gone {
		if n.Pipeline != nil {
			err = errors.Join(err, n.Pipeline.use.retire(ctx))
		}
	}
	err = errors.Join(err, stopNodes(ctx, filter(gone, notListener)), closeNodes(gone))
	if err != nil {
		a.log.Warn("replaced instances did not stop cleanly", zap.Error(err))
	}
}

// partTime is how long the sessions of a replaced listener may go on as if
// nothing had happened. Most are shorter. What lasts longer is told to come
// again (421) when it is between two messages.
const partTime = 10 * time.Second

// part waits until sessions end by themselves: at most for partTime, and not
// when the server stops.
func (a *Appliance) part(listeners []*Node) {
	ctx, cancel := context.WithTimeout(a.stay, partTime)
	defer cancel()
	var all sync.WaitGroup
	for _, n := range listeners {
		if r, ok := n.Module.(Retirer); ok && n.started {
			all.Go(func() { r.Retire(ctx) })
		}
	}
	all.Wait()
}

// Stop stops everything in the reverse order of Start. Sessions and attempts
// in progress may finish until ctx ends; nothing that was answered 250 is
// lost either way.
func (a *Appliance) Stop(ctx context.Context) error {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()
	a.running.Store(false)
	return a.stop(ctx, a.Graph())
}

func (a *Appliance) stop(ctx context.Context, g *Graph) error {
	a.leave()
	err := stopNodes(ctx, filter(g.Nodes, isListener))
	if a.engine != nil {
		err = errors.Join(err, a.engine.Stop(ctx))
	}
	hurry := context.AfterFunc(ctx, a.cut)
	a.retiring.Wait()
	hurry()
	rest := filter(storeFirst(g.Nodes), notListener)
	return errors.Join(err, stopNodes(ctx, rest), closeNodes(g.Nodes), a.closeResolver())
}

// Healthy says what keeps the appliance from accepting, signing and storing
// mail, or nil. A certificate that is still waited for does not: who leads
// traffic only to instances that are healthy, as an orchestrator does, must
// lead to this one the authority that comes to see whether it is there.
func (a *Appliance) Healthy() error {
	if !a.running.Load() {
		return errNotRunning
	}
	var all []error
	for _, n := range a.Graph().Nodes {
		if h, ok := n.Module.(HealthReporter); ok {
			if err := h.Healthy(); err != nil {
				all = append(all, &InstanceError{n.Addr, err})
			}
		}
	}
	return errors.Join(all...)
}

// Acquire implements [Router].
func (a *Appliance) Acquire(name string) (p *Pipeline, release func(), ok bool) {
	for {
		p, ok := (*a.roads.Load())[name]
		if !ok {
			return nil, nil, false
		}
		if p.use.enter() {
			return p, sync.OnceFunc(p.use.leave), true
		}
		// Replaced between Load and enter; the new one is there already.
	}
}

func (a *Appliance) openPipelines(g *Graph) {
	for _, n := range g.Pipelines() {
		if n.started {
			continue
		}
		n.started = true
		n.Pipeline.Open(n.Addr, House{
			Hostname: g.Settings.Hostname, Limits: g.Settings.Limits, Spool: a.engine,
			Events: a.events, Logins: a.logins, Log: a.log.Named(n.Addr.String()), Now: a.opts.Now,
			Memory: a.memory, Timeouts: a.timeouts, Aligner: a.aligner,
			Outward: func() []netip.Addr { return a.Graph().Settings.Deliverability.Addresses },
		})
	}
}

// attach gives the listeners that match their pipeline.
func (a *Appliance) attach(g *Graph, match func(*Node) bool) {
	for _, n := range g.Pipelines() {
		for _, l := range n.Pipeline.Listeners {
			if match(g.Node(l.Addr())) {
				l.To().Attach(n.Pipeline)
			}
		}
	}
}

func roadsOf(g *Graph) *roads {
	r := make(roads)
	for _, n := range g.Pipelines() {
		r[n.Addr.Name] = n.Pipeline
	}
	return &r
}

func (a *Appliance) provision(g *Graph) error { return a.provisionNodes(g, storeFirst(g.Nodes)) }

// provisionNodes provisions all it can, so that the administrator sees every
// error at once. What depends on an instance that failed is passed over.
func (a *Appliance) provisionNodes(g *Graph, nodes []*Node) error {
	failed := make(map[Addr]bool)
	var all []error
	for _, n := range nodes {
		if n.Module == nil || n.provisioned {
			continue
		}
		if slices.ContainsFunc(n.Deps, func(d Addr) bool { return failed[d] }) {
			failed[n.Addr] = true
			continue
		}
		n.provisioned = true
		if err := n.Module.Provision(a.context(g, n)); err != nil {
			failed[n.Addr] = true
			all = append(all, &InstanceError{n.Addr, err})
		}
	}
	if all == nil {
		return nil
	}
	return &ProvisionError{all}
}

func (a *Appliance) context(g *Graph, n *Node) *Context {
	n.metrics = newInstanceMetrics(n.Addr)
	c := &Context{
		Addr:     n.Addr,
		Log:      a.log.Named(n.Addr.String()),
		Hostname: g.Settings.Hostname,
		DataDir:  g.Settings.DataDir,
		Limits:   g.Settings.Limits,
		Memory:   a.memory,
		Resolver: a.resolver,
		Metrics:  n.metrics,
		Events:   a.events,
		Sockets:  &a.sockets,
		Post:     a.post,
		Queued:   a.queued,
	}
	if s := storeOf(g); s != nil && n.Addr.Kind != KindStore {
		c.Values = ValuesAt(s.Values(), string(n.Addr.Kind)+"/"+n.Addr.Name+"/")
	}
	return c
}
