package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an engine with everything around it. Tests run it in a bubble of
// testing/synctest, where a week takes no time.
type house struct {
	t      *testing.T
	store  *fakeStore
	relay  *fakeRelay
	engine *engine
	logs   *observer.ObservedLogs
	pipes  map[string]*appliance.Pipeline

	mu     sync.Mutex
	offset time.Duration // what the wall clock is off by
	events []appliance.Event
}

// noJitter is a random source of nothing but zeros.
type noJitter struct{}

func (noJitter) Uint64() uint64 { return 0 }

// newHouse makes an engine that is not started; change may be nil.
func newHouse(t *testing.T, change func(in *appliance.EngineContext)) *house {
	h := &house{t: t, store: newFakeStore(), relay: newFakeRelay()}
	h.store.now = h.now
	core, logs := observer.New(zap.InfoLevel)
	h.logs = logs
	in := appliance.EngineContext{
		Hostname: "mail.example.com",
		Store:    h.store,
		Router:   h,
		Settings: appliance.DefaultSettings().Queue,
		Events:   appliance.EventFunc(h.emit),
		Log:      zap.New(core),
		Now:      h.now,
		Rand:     rand.New(noJitter{}),
	}
	if change != nil {
		change(&in)
	}
	h.engine = New(in).(*engine)
	h.pipes = map[string]*appliance.Pipeline{"out": h.pipeline("out")}
	return h
}

func (h *house) pipeline(name string) *appliance.Pipeline {
	p := &appliance.Pipeline{
		Relay: appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "mx"}, h.relay),
	}
	h.open(name, p)
	return p
}

func (h *house) open(name string, p *appliance.Pipeline) {
	p.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: name}, appliance.House{
		Hostname: "mail.example.com", Spool: h.engine, Now: h.now, Limits: appliance.DefaultSettings().Limits,
	})
}

// start starts the engine and stops it when the test ends.
func (h *house) start() *house {
	h.t.Helper()
	if err := h.engine.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.stop)
	return h
}

func (h *house) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.engine.Stop(ctx); err != nil {
		h.t.Error(err)
	}
	for _, w := range h.store.wrong {
		h.t.Error(w)
	}
	h.oneEnd()
}

// oneEnd holds P6: at most one final event for each recipient.
func (h *house) oneEnd() {
	ends := make(map[string]int)
	for _, e := range h.told() {
		if e.Kind.Final() {
			ends[string(e.ID)+" "+e.To.String()]++
		}
	}
	for who, n := range ends {
		if n != 1 {
			h.t.Errorf("%s ended %d times", who, n)
		}
	}
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.offset)
}

// jump sets the wall clock forward or back.
func (h *house) jump(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offset += d
}

func (h *house) emit(e appliance.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *house) told(kinds ...appliance.EventKind) []appliance.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []appliance.Event
	for _, e := range h.events {
		for _, k := range kinds {
			if e.Kind == k {
				all = append(all, e)
			}
		}
		if len(kinds) == 0 {
			all = append(all, e)
		}
	}
	return all
}

// Acquire implements appliance.Router.
func (h *house) Acquire(name string) (*appliance.Pipeline, func(), bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.pipes[name]
	return p, func() {}, ok
}

func mailbox(s string) appliance.Mailbox {
	if s == "" {
		return appliance.Mailbox{}
	}
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		panic(err)
	}
	return m
}

// message makes one with a delivery for each destination domain of its
// recipients, in order.
func (h *house) message(from string, to ...string) appliance.Accepted {
	return h.with(from, func(*appliance.Accepted) {}, to...)
}

func (h *house) with(from string, change func(m *appliance.Accepted), to ...string) appliance.Accepted {
	now := h.now()
	m := appliance.Accepted{
		ID: appliance.NewQueueID(now), Received: now, Draft: new(fakeDraft),
		Origin:   appliance.Origin{Pipeline: "out", Listener: "public", Session: "s1", User: "app", Client: "192.0.2.7"},
		Envelope: appliance.Envelope{From: mailbox(from)},
	}
	m.Header.Append(appliance.NewField("Subject", "test"))
	fmt.Fprintf(m.Draft, "\r\nHello\r\n")
	at := make(map[string]int)
	for _, s := range to {
		r := appliance.Recipient{Mailbox: mailbox(s)}
		m.Envelope.Recipients = append(m.Envelope.Recipients, r)
		dest := "mx/" + r.Mailbox.Domain
		i, ok := at[dest]
		if !ok {
			i = len(m.Deliveries)
			at[dest] = i
			m.Deliveries = append(m.Deliveries, appliance.Delivery{Destination: dest, Due: now})
		}
		m.Deliveries[i].Recipients = append(m.Deliveries[i].Recipients, appliance.RecipientState{Recipient: r})
	}
	change(&m)
	return m
}

// send commits a message of one sender.
func (h *house) send(from string, to ...string) appliance.QueueID {
	h.t.Helper()
	return h.commit(h.message(from, to...))
}

func (h *house) commit(m appliance.Accepted) appliance.QueueID {
	h.t.Helper()
	if err := h.engine.Commit(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
	return m.ID
}

// fakeRelay answers by domain, and notes what it is asked.
type fakeRelay struct {
	mu      sync.Mutex
	answers map[string]answer
	calls   []call
	running map[string]int
	most    map[string]int // deliveries at a time, by domain; "" is all
}

// An answer makes the results for one call.
type answer func(ctx context.Context, env appliance.Envelope) []appliance.Result

type call struct {
	at     time.Time
	id     appliance.QueueID
	from   appliance.Mailbox
	to     []appliance.Recipient
	domain string
}

func newFakeRelay() *fakeRelay {
	return &fakeRelay{answers: make(map[string]answer), running: make(map[string]int), most: make(map[string]int)}
}

func (r *fakeRelay) Provision(*appliance.Context) error  { return nil }
func (r *fakeRelay) NextHop(to appliance.Mailbox) string { return to.Domain }

func (r *fakeRelay) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message) []appliance.Result {
	domain := env.Recipients[0].Mailbox.Domain
	f := r.enter(call{time.Now(), msg.ID, env.From, env.Recipients, domain})
	defer r.leave(domain)
	return f(ctx, env)
}

func (r *fakeRelay) enter(c call) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	for _, k := range []string{c.domain, ""} {
		r.running[k]++
		r.most[k] = max(r.most[k], r.running[k])
	}
	if f := r.answers[c.domain]; f != nil {
		return f
	}
	return says(250, 0, 0, "ok")
}

func (r *fakeRelay) leave(domain string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[domain]--
	r.running[""]--
}

func (r *fakeRelay) answer(domain string, f answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[domain] = f
}

// mostOf is how many deliveries at a time a domain had, "" for all together.
func (r *fakeRelay) mostOf(domain string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most[domain]
}

func (r *fakeRelay) asked(domain string) []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []call
	for _, c := range r.calls {
		if c.domain == domain {
			all = append(all, c)
		}
	}
	return all
}

// says answers the same for every recipient, as the next hop.
func says(code, subject, detail int, text string) answer {
	r := appliance.Result{
		Reply: *appliance.NewReply(code, subject, detail, text), Remote: true,
		Host: "mx.example.org", Peer: "192.0.2.25:25", TLS: "TLS 1.3",
	}
	return func(_ context.Context, env appliance.Envelope) []appliance.Result {
		return appliance.Results(len(env.Recipients), r)
	}
}

// silence is a next hop that does not answer.
func silence(after time.Duration) answer {
	return func(ctx context.Context, env appliance.Envelope) []appliance.Result {
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
		return appliance.Results(len(env.Recipients), appliance.Result{
			Reply: *appliance.NewReply(451, 4, 1, "mx.example.org does not answer"), Host: "mx.example.org",
		})
	}
}

// byRecipient answers each recipient by its local part, 250 if not listed.
func byRecipient(replies map[string]*appliance.Reply) answer {
	return func(_ context.Context, env appliance.Envelope) []appliance.Result {
		all := appliance.Results(len(env.Recipients), appliance.Result{
			Reply: *appliance.NewReply(250, 0, 0, "ok"), Remote: true,
		})
		for i, to := range env.Recipients {
			if r := replies[to.Mailbox.Local]; r != nil {
				all[i].Reply = *r
			}
		}
		return all
	}
}
