package admin_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "0123456789abcdef0123456789abcdef"

// house is a running appliance made of fakes, with an admin server.
type house struct {
	appliance *appliance.Appliance
	store     *fakeStore
	engine    *fakeEngine
	relay     *fakeRelay
	tls       *fakeTLS
	events    *admin.Events
	reload    func(context.Context, bool) (admin.Reloaded, error)
	stopped   chan struct{}
	server    *admin.Server
	client    *admin.Client
	address   string
}

// open starts a house. address is "unix" or "tcp".
func open(t *testing.T, address string, prepare ...func(*admin.Server)) *house {
	t.Helper()
	return start(t, address, appliance.Options{}, prepare)
}

// openWith starts a house with more than the fakes.
func openWith(t *testing.T, o appliance.Options) *house {
	t.Helper()
	return start(t, "unix", o, nil)
}

func start(t *testing.T, address string, o appliance.Options, prepare []func(*admin.Server)) *house {
	t.Helper()
	h := &house{store: new(fakeStore), relay: new(fakeRelay), tls: new(fakeTLS), events: new(admin.Events), stopped: make(chan struct{})}
	o.Events = []appliance.EventSink{h.events}
	o.NewEngine = func(c appliance.EngineContext) appliance.Engine {
		h.engine = &fakeEngine{store: h.store, events: c.Events}
		return h.engine
	}
	h.appliance = appliance.New(h.graph(), o)
	if err := h.appliance.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, h.appliance.Stop(context.Background())) })
	h.serve(t, address, prepare)
	return h
}

func (h *house) graph() *appliance.Graph {
	settings := appliance.DefaultSettings()
	settings.Hostname = "mail.example.com"
	settings.Limits.MaxMessageSize = 64 << 10
	relay := appliance.Addr{Kind: appliance.KindRelay, Name: "out"}
	other := appliance.Addr{Kind: appliance.KindRelay, Name: "provider"}
	auth := appliance.Addr{Kind: appliance.KindAuth, Name: "apps"}
	login := fakeAuth{}
	p := &appliance.Pipeline{
		Auth: []appliance.Ref[appliance.Authenticator]{appliance.RefTo[appliance.Authenticator](auth, login)},
		Routes: []appliance.Route{
			{When: forDomain("refused.example"), Reject: new(appliance.ReplyText)},
			{When: forDomain("by.provider.example"), Relay: appliance.RefTo[appliance.Relay](other, new(provider))},
		},
		Relay: appliance.RefTo[appliance.Relay](relay, h.relay),
	}
	return &appliance.Graph{Settings: settings, Nodes: []*appliance.Node{
		{Addr: appliance.Addr{Kind: appliance.KindStore, Name: "main"}, Type: "fake", Module: h.store},
		{Addr: relay, Type: "fake", Module: h.relay},
		{Addr: other, Type: "fake", Module: new(provider)},
		{Addr: appliance.Addr{Kind: appliance.KindTLS, Name: "own"}, Type: "fake", Module: h.tls},
		{Addr: auth, Type: "fake", Module: login},
		{Addr: appliance.Addr{Kind: appliance.KindPipeline, Name: "outgoing"}, Pipeline: p},
	}}
}

func (h *house) serve(t *testing.T, network string, prepare []func(*admin.Server)) {
	t.Helper()
	listenOn := "127.0.0.1:0"
	if network == "unix" {
		listenOn = "unix:" + filepath.Join(t.TempDir(), "a.sock")
	}
	l, err := admin.Listen(listenOn)
	if err != nil {
		t.Fatal(err)
	}
	h.server = admin.New(admin.Options{
		Appliance: h.appliance, Events: h.events, Version: admin.Version{Version: "v0", PID: 7},
		Reload: func(ctx context.Context, plan bool) (admin.Reloaded, error) { return h.reload(ctx, plan) },
		Stop:   sync.OnceFunc(func() { close(h.stopped) }),
	}, appliance.NewSecret(token))
	for _, f := range prepare {
		f(h.server)
	}
	h.server.Start(l)
	h.address = listenOn
	if network != "unix" {
		h.address = h.server.Addr().String()
	}
	h.client = admin.NewClient(h.address, appliance.NewSecret(token))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(t, h.server.Stop(ctx))
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// request writes raw bytes and returns the answer: what a client library
// would not send, a test must be able to.
func (h *house) request(t *testing.T, raw string) string {
	t.Helper()
	network, rest := appliance.SplitNetwork(h.address)
	c, err := net.Dial(network, rest)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = io.WriteString(c, raw) // the server may have answered before the end of it
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

type fakeAuth struct{}

func (fakeAuth) Provision(*appliance.Context) error { return nil }
func (fakeAuth) Authenticate(context.Context, *appliance.Session, string, appliance.Secret) (appliance.Identity, error) {
	return appliance.Identity{}, appliance.ErrCredentials
}

// fakeRelay captures.
type fakeRelay struct {
	kept    []appliance.Captured
	counted func(appliance.TLSReportFilter) (appliance.TLSReportList, error) // nil: nothing
}

func (r *fakeRelay) CollectedTLS(_ context.Context, want appliance.TLSReportFilter) (appliance.TLSReportList, error) {
	if r.counted == nil {
		return appliance.TLSReportList{}, appliance.ErrNoTLSReports
	}
	return r.counted(want)
}

func (*fakeRelay) Provision(*appliance.Context) error                       { return nil }
func (*fakeRelay) NextHop(to appliance.Mailbox) string                      { return to.Domain }
func (r *fakeRelay) Captured(context.Context) ([]appliance.Captured, error) { return r.kept, nil }
func (*fakeRelay) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	return appliance.Results(len(env.Recipients), appliance.Result{Reply: *appliance.NewReply(250, 0, 0, "ok")})
}

func (r *fakeRelay) Open(_ context.Context, id string) (io.ReadCloser, error) {
	for _, m := range r.kept {
		if m.ID == id {
			return io.NopCloser(strings.NewReader("Subject: " + m.Subject + "\r\n\r\n")), nil
		}
	}
	return nil, fs.ErrNotExist
}

// fakeStore holds entries, and fails when told to.
type fakeStore struct {
	appliance.Store // what the tests do not use
	mu              sync.Mutex
	entries         []appliance.Entry
	sick            error
}

func (*fakeStore) Provision(*appliance.Context) error { return nil }
func (*fakeStore) Start(context.Context) error        { return nil }
func (*fakeStore) Stop(context.Context) error         { return nil }
func (*fakeStore) Values() appliance.Values           { return nil }

func (s *fakeStore) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sick
}

func (s *fakeStore) Query(_ context.Context, f appliance.Filter) iter.Seq2[appliance.Entry, error] {
	return func(yield func(appliance.Entry, error) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for _, e := range s.entries {
			if len(f.IDs) > 0 && !slices.Contains(f.IDs, e.ID) || f.Limit > 0 && n == f.Limit {
				continue
			}
			n++
			if !f.Attempts {
				e.Deliveries = slices.Clone(e.Deliveries)
				for i := range e.Deliveries {
					e.Deliveries[i].Attempts = nil
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// fakeEngine keeps what is committed, and lets the test say what becomes of it.
type fakeEngine struct {
	suspended []appliance.Suspension
	store     *fakeStore
	events    appliance.EventSink
	mu        sync.Mutex
	accepted  []appliance.Accepted
	bodies    []string
	changed   []appliance.Filter
	deliver   func(appliance.Accepted) []appliance.Event
	full      bool
}

func (*fakeEngine) Start(context.Context) error       { return nil }
func (*fakeEngine) Stop(context.Context) error        { return nil }
func (*fakeEngine) Configure(appliance.QueueSettings) {}

func (e *fakeEngine) Draft(context.Context) (appliance.Draft, error) {
	if e.full {
		return nil, appliance.ErrFull
	}
	return new(fakeDraft), nil
}

func (e *fakeEngine) Commit(_ context.Context, msgs ...appliance.Accepted) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range msgs {
		e.accepted = append(e.accepted, m)
		e.bodies = append(e.bodies, m.Draft.(*fakeDraft).String())
		if e.deliver == nil {
			continue
		}
		for _, event := range e.deliver(m) {
			e.events.Emit(event)
		}
	}
	return nil
}

func (e *fakeEngine) Change(_ context.Context, f appliance.Filter, _ appliance.Change) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = append(e.changed, f)
	return 3, nil
}

type fakeDraft struct{ strings.Builder }

func (d *fakeDraft) Body() (appliance.Body, error) { return appliance.BytesBody(d.String()), nil }
func (d *fakeDraft) Abort() error                  { return nil }

var errSick = errors.New("the disk has failed")
