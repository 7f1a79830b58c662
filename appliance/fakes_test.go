package appliance

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// mem is a Spool in memory. Its errors, if set, are those of its methods.
type mem struct {
	draftErr, writeErr, bodyErr, commitErr error

	got   []Accepted
	bytes []string // the messages as they go on the wire
	open  int      // drafts neither committed nor aborted
}

type memDraft struct {
	m    *mem
	buf  bytes.Buffer
	done bool
}

func (m *mem) Draft(context.Context) (Draft, error) {
	if m.draftErr != nil {
		return nil, m.draftErr
	}
	m.open++
	return &memDraft{m: m}, nil
}

func (m *mem) Commit(_ context.Context, msgs ...Accepted) error {
	if m.commitErr != nil {
		return m.commitErr
	}
	for _, a := range msgs {
		d := a.Draft.(*memDraft)
		d.end()
		m.got = append(m.got, a)
		m.bytes = append(m.bytes, string(a.Header.Bytes())+d.buf.String())
	}
	return nil
}

func (d *memDraft) Write(b []byte) (int, error) {
	if d.m.writeErr != nil {
		return 0, d.m.writeErr
	}
	return d.buf.Write(b)
}

func (d *memDraft) Body() (Body, error) { return BytesBody(d.buf.Bytes()), d.m.bodyErr }
func (d *memDraft) Abort() error        { d.end(); return nil }

func (d *memDraft) end() {
	if !d.done {
		d.done = true
		d.m.open--
	}
}

// fake plays every role but Listener and Store, as its functions say.
type fake struct {
	inspect func(Stage, *Transaction) (Verdict, error)
	modify  func(*Transaction) error
	auth    func(user, password string) (Identity, error)
	nextHop func(Mailbox) string
}

func (*fake) Provision(*Context) error { return nil }
func (*fake) Stages() Stage            { return AtConnect | AtSender | AtRecipient | AtContent }

func (f *fake) Inspect(_ context.Context, at Stage, tx *Transaction) (Verdict, error) {
	return f.inspect(at, tx)
}

func (f *fake) Modify(_ context.Context, tx *Transaction) error { return f.modify(tx) }

func (f *fake) Authenticate(_ context.Context, _ *Session, user string, password Secret) (Identity, error) {
	return f.auth(user, password.Reveal())
}

func (f *fake) NextHop(to Mailbox) string {
	if f.nextHop != nil {
		return f.nextHop(to)
	}
	return to.Domain
}

func (*fake) Deliver(_ context.Context, env Envelope, _ *Message) []Result {
	return Results(len(env.Recipients), Result{})
}

// claimer is a rewrite that makes some recipients ours.
type claimer struct {
	fake
	claims func(Mailbox) bool
}

func (c *claimer) Claims(to Mailbox) bool { return c.claims(to) }

// truster is a listener with trusted networks.
type truster struct {
	fakeListener
	networks []string
}

func (l *truster) TrustedNetworks() (all []netip.Prefix) {
	for _, n := range l.networks {
		all = append(all, netip.MustParsePrefix(n))
	}
	return all
}

var _ interface {
	Listener
	NetworkTruster
} = (*truster)(nil)

func check(name string, f func(Stage, *Transaction) (Verdict, error)) Ref[Check] {
	return RefTo[Check](Addr{KindCheck, name}, &fake{inspect: f})
}

func modifier(kind Kind, name string, f func(*Transaction) error) Ref[Modifier] {
	return RefTo[Modifier](Addr{kind, name}, &fake{modify: f})
}

func authenticator(name string, f func(user, password string) (Identity, error)) Ref[Authenticator] {
	return RefTo[Authenticator](Addr{KindAuth, name}, &fake{auth: f})
}

func relay(name string) Ref[Relay] { return RefTo[Relay](Addr{KindRelay, name}, &fake{}) }

// ours is a rewrite that claims what is at the domains, and changes nothing.
func ours(domains ...string) Ref[Modifier] {
	c := &claimer{claims: func(to Mailbox) bool {
		for _, d := range domains {
			if to.Domain == d {
				return true
			}
		}
		return false
	}}
	c.modify = func(*Transaction) error { return nil }
	return RefTo[Modifier](Addr{KindRewrite, "ours"}, c)
}

// bench is a pipeline on fakes.
type bench struct {
	*Pipeline
	*mem
	events []Event
	t      testing.TB
}

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// open opens p as "pipeline.test" of mail.example.org.
func open(t testing.TB, p *Pipeline) *bench {
	t.Helper()
	b := &bench{Pipeline: p, mem: new(mem), t: t}
	if !p.Relay.IsSet() {
		p.Relay = relay("out")
	}
	p.Open(Addr{KindPipeline, "test"}, House{
		Hostname: "mail.example.org", Limits: DefaultSettings().Limits, Spool: b.mem, Log: zap.NewNop(),
		Events: EventFunc(func(e Event) { b.events = append(b.events, e) }), Now: func() time.Time { return noon },
	})
	return b
}

// user is a session that may relay; stranger is one that may not.
func user() *Session {
	s := stranger()
	s.Identity = &Identity{User: "app"}
	return s
}

func stranger() *Session {
	return &Session{
		ID: "s1", Listener: Addr{KindListener, "in"}, Client: netip.MustParseAddrPort("192.0.2.1:2525"),
		Hello: "client.example", Extended: true,
	}
}

// send sends one message and returns the first error.
func (b *bench) send(s *Session, from, content string, to ...string) error {
	b.t.Helper()
	ctx := context.Background()
	tx, err := b.Mail(ctx, s, Envelope{From: box(b.t, from)})
	if err != nil {
		return err
	}
	for _, r := range to {
		if err := b.Rcpt(ctx, tx, Recipient{Mailbox: box(b.t, r)}); err != nil {
			return err
		}
	}
	_, err = b.Data(ctx, tx, strings.NewReader(content))
	return err
}

func box(t testing.TB, s string) Mailbox {
	t.Helper()
	var m Mailbox
	if err := m.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return m
}

// kinds is what has been told since the last call.
func (b *bench) kinds() string {
	var all []string
	for _, e := range b.events {
		s := string(e.Kind)
		if e.Reply != nil {
			s += ":" + e.Reply.Status()
		}
		all = append(all, s)
	}
	b.events = nil
	return strings.Join(all, " ")
}

// wantReply checks that err is a bare *Reply that says so.
func wantReply(t testing.TB, err error, want string) {
	t.Helper()
	r, ok := err.(*Reply)
	if !ok || !strings.HasPrefix(r.String(), want) {
		t.Errorf("got %v (%T), want %s", err, err, want)
	}
	if ok && r.Err != nil && strings.Contains(r.String(), r.Err.Error()) {
		t.Errorf("%s tells the client the cause %q", r, r.Err)
	}
}

var errLocal = errors.New("open /data/secret.db: input/output error")

var _ net.Listener = (*socketHandle)(nil)
