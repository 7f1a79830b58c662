// Package appliancetest holds what tests of modules need: a [House] of fakes to
// open a pipeline in, a [Dialogue] that talks SMTP as a file says, and the
// conformance suites of the roles.
package appliancetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A House is an opened pipeline on fakes: what a listener, or anything else
// that drives a pipeline, needs around it in a test.
//
// Its recipients are those in Domains; its users are those in Users; what it
// accepts is in Spool.
type House struct {
	Pipeline *appliance.Pipeline
	Spool    *Spool
	Events   *Events
	Users    Users
	Domains  Domains
}

// NewHouse opens a pipeline called "test" on "mail.test", which takes mail for
// local.test and knows the user "app" with the password "secret". Each of
// change may alter the pipeline and what is around it before it is opened.
func NewHouse(t testing.TB, change ...func(*House, *appliance.House)) *House {
	t.Helper()
	h := &House{
		Spool:   new(Spool),
		Events:  new(Events),
		Users:   Users{"app": "secret"},
		Domains: Domains{"local.test", "mail.test"},
		Pipeline: &appliance.Pipeline{
			Relay: appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "out"}, nowhere{}),
		},
	}
	around := appliance.House{
		Hostname: "mail.test",
		Limits:   appliance.DefaultSettings().Limits,
		Spool:    h.Spool,
		Events:   h.Events,
	}
	for _, f := range change {
		f(h, &around)
	}
	if h.Users != nil {
		h.Pipeline.Auth = append(h.Pipeline.Auth, appliance.RefTo[appliance.Authenticator](
			appliance.Addr{Kind: appliance.KindAuth, Name: "users"}, h.Users))
	}
	if h.Domains != nil {
		h.Pipeline.Rewrites = append(h.Pipeline.Rewrites, appliance.RefTo[appliance.Modifier](
			appliance.Addr{Kind: appliance.KindRewrite, Name: "domains"}, h.Domains))
	}
	h.Pipeline.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "test"}, around)
	return h
}

// A Spool is an appliance.Spool in memory.
type Spool struct {
	// Fail, when set, is asked before each "room", "draft", "write" and "commit".
	Fail func(op string) error

	mu       sync.Mutex
	messages []Spooled
	open     int
}

// A Spooled is a message that a Spool took.
type Spooled struct {
	appliance.Accepted
	Body []byte
}

// Bytes is the whole message.
func (s Spooled) Bytes() []byte { return append(s.Header.Bytes(), s.Body...) }

// Messages returns what has been committed, in order.
func (s *Spool) Messages() []Spooled {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Open is the number of drafts that were neither committed nor aborted.
func (s *Spool) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *Spool) fail(op string) error {
	if s.Fail == nil {
		return nil
	}
	return s.Fail(op)
}

// Room implements appliance.RoomReporter.
func (s *Spool) Room(context.Context, int64) error { return s.fail("room") }

// Draft implements appliance.Spool.
func (s *Spool) Draft(context.Context) (appliance.Draft, error) {
	if err := s.fail("draft"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	return &draft{spool: s}, nil
}

// Commit implements appliance.Spool.
func (s *Spool) Commit(_ context.Context, msgs ...appliance.Accepted) error {
	if err := s.fail("commit"); err != nil {
		return err
	}
	for _, m := range msgs {
		d, ok := m.Draft.(*draft)
		if !ok || d.spool != s {
			return errors.New("appliancetest: draft of another spool")
		}
		d.end()
		s.mu.Lock()
		s.messages = append(s.messages, Spooled{m, d.buf.Bytes()})
		s.mu.Unlock()
	}
	return nil
}

type draft struct {
	spool *Spool
	buf   bytes.Buffer
	once  sync.Once
}

func (d *draft) Write(p []byte) (int, error) {
	if err := d.spool.fail("write"); err != nil {
		return 0, err
	}
	return d.buf.Write(p)
}

func (d *draft) Body() (appliance.Body, error) { return appliance.BytesBody(d.buf.Bytes()), nil }

func (d *draft) Abort() error { d.end(); return nil }

func (d *draft) end() {
	d.once.Do(func() {
		d.spool.mu.Lock()
		defer d.spool.mu.Unlock()
		d.spool.open--
	})
}

// Events is an EventSink that remembers.
type Events struct {
	mu  sync.Mutex
	all []appliance.Event
}

// Emit implements appliance.EventSink.
func (e *Events) Emit(ev appliance.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// All returns the events so far.
func (e *Events) All() []appliance.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// Users is an Authenticator: names and passwords. The user "broken" cannot be
// looked up.
type Users map[string]string

// Provision implements appliance.Module.
func (Users) Provision(*appliance.Context) error { return nil }

// Authenticate implements appliance.Authenticator.
func (u Users) Authenticate(_ context.Context, _ *appliance.Session, user string, password appliance.Secret) (appliance.Identity, error) {
	if user == "broken" {
		return appliance.Identity{}, errors.New("directory.internal:636: connection refused")
	}
	if want, ok := u[user]; !ok || want != password.Reveal() {
		return appliance.Identity{}, appliance.ErrCredentials
	}
	return appliance.Identity{User: user, By: appliance.Addr{Kind: appliance.KindAuth, Name: "users"}}, nil
}

// Domains is a rewrite that changes nothing and claims the recipients of some
// domains.
type Domains []string

// Provision implements appliance.Module.
func (Domains) Provision(*appliance.Context) error { return nil }

// Modify implements appliance.Modifier.
func (Domains) Modify(context.Context, *appliance.Transaction) error { return nil }

// Claims implements appliance.Claimer.
func (d Domains) Claims(to appliance.Mailbox) bool { return slices.Contains(d, to.Domain) }

// CheckFunc is a Check at all stages.
type CheckFunc func(at appliance.Stage, tx *appliance.Transaction) (appliance.Verdict, error)

// Provision implements appliance.Module.
func (CheckFunc) Provision(*appliance.Context) error { return nil }

// Stages implements appliance.Check.
func (CheckFunc) Stages() appliance.Stage {
	return appliance.AtConnect | appliance.AtSender | appliance.AtRecipient | appliance.AtContent
}

// Inspect implements appliance.Check.
func (f CheckFunc) Inspect(_ context.Context, at appliance.Stage, tx *appliance.Transaction) (appliance.Verdict, error) {
	return f(at, tx)
}

// WithCheck adds a check to a new House.
func WithCheck(f CheckFunc) func(*House, *appliance.House) {
	return func(h *House, _ *appliance.House) {
		h.Pipeline.Checks = append(h.Pipeline.Checks, appliance.RefTo[appliance.Check](
			appliance.Addr{Kind: appliance.KindCheck, Name: "func"}, f))
	}
}

// nowhere is a relay that is never asked to deliver: the Spool keeps it all.
type nowhere struct{}

func (nowhere) Provision(*appliance.Context) error { return nil }

func (nowhere) NextHop(to appliance.Mailbox) string { return strings.ToLower(to.Domain) }

func (nowhere) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	r := appliance.NewReply(451, 3, 0, "appliancetest delivers nothing")
	return appliance.Results(len(env.Recipients), appliance.Result{Reply: *r})
}

var (
	_ appliance.Spool         = (*Spool)(nil)
	_ appliance.EventSink     = (*Events)(nil)
	_ appliance.Authenticator = Users(nil)
	_ appliance.Claimer       = Domains(nil)
	_ appliance.Modifier      = Domains(nil)
	_ appliance.Check         = CheckFunc(nil)
	_ appliance.Relay         = nowhere{}
	_ appliance.Draft         = (*draft)(nil)
)
