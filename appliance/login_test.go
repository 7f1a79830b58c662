package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

// external is an authenticator by certificates. Asking it for a password is a
// mistake of the pipeline.
type external struct {
	fake
	answer func(user string) (Identity, error)
}

func (e *external) AuthenticateExternal(_ context.Context, _ *Session, user string) (Identity, error) {
	return e.answer(user)
}

func certificates(name string, answer func(string) (Identity, error)) Ref[Authenticator] {
	e := &external{answer: answer}
	e.auth = func(string, string) (Identity, error) { panic("was given a password") }
	return RefTo[Authenticator](Addr{KindAuth, name}, e)
}

func passwords(name string) Ref[Authenticator] {
	return authenticator(name, func(user, password string) (Identity, error) {
		if user != name || password != "right" {
			return Identity{}, ErrCredentials
		}
		return Identity{User: user}, nil
	})
}

// TestExternal: who is asked what, and which of several answers counts.
func TestExternal(t *testing.T) {
	machine := certificates("machine", func(string) (Identity, error) { return Identity{User: "printer"}, nil })
	alien := certificates("alien", func(user string) (Identity, error) {
		return Identity{}, fmt.Errorf("%w: not for %q", ErrCredentials, user)
	})
	mute := certificates("mute", func(string) (Identity, error) { return Identity{}, ErrCredentials })
	lost := certificates("lost", func(string) (Identity, error) { return Identity{}, errors.New("the list has expired") })
	bug := certificates("bug", func(string) (Identity, error) { panic("a bug") })
	for _, c := range []struct {
		name  string
		auth  []Ref[Authenticator]
		reply string // "" is success
		by    string
		cause string // in the event
	}{
		{"passwords are not asked", []Ref[Authenticator]{passwords("app")}, "535 5.7.8", "", ""},
		{"known", []Ref[Authenticator]{passwords("app"), machine}, "", "auth.machine", ""},
		{"the second knows", []Ref[Authenticator]{alien, machine}, "", "auth.machine", ""},
		{"the second knows, the first is lost", []Ref[Authenticator]{lost, machine}, "", "auth.machine", ""},
		{"unknown, with a reason", []Ref[Authenticator]{alien, mute}, "535 5.7.8", "", `auth.alien: invalid credentials: not for "printer"`},
		{"unknown", []Ref[Authenticator]{mute}, "535 5.7.8", "", ""},
		{"lost counts more than a reason", []Ref[Authenticator]{lost, alien}, "454 4.7.0", "", "auth.lost: the list has expired"},
		{"panic", []Ref[Authenticator]{bug, mute}, "454 4.7.0", "", "auth.bug: auth.bug panicked: a bug"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, &Pipeline{Auth: c.auth})
			id, err := b.AuthenticateExternal(t.Context(), stranger(), "printer")
			if c.reply == "" {
				if err != nil || id.User != "printer" || id.By.String() != c.by || len(b.events) != 0 {
					t.Errorf("%+v, %v, events %s", id, err, b.kinds())
				}
				return
			}
			wantReply(t, err, c.reply)
			if id != (Identity{}) || len(b.events) != 1 || b.events[0].Kind != EventAuthFailed || b.events[0].User != "printer" {
				t.Fatalf("%+v, events %+v", id, b.events)
			}
			cause := ""
			if b.events[0].Reply.Err != nil {
				cause = b.events[0].Reply.Err.Error()
			}
			if cause != c.cause {
				t.Errorf("cause %q, want %q", cause, c.cause)
			}
		})
	}
}

// TestExternalTakesNoPasswords: a password goes to those who take one, and to
// nobody else.
func TestExternalTakesNoPasswords(t *testing.T) {
	machine := certificates("machine", func(string) (Identity, error) { return Identity{User: "printer"}, nil })
	for _, c := range []struct {
		auth                    []Ref[Authenticator]
		passwords, certificates bool
		reply                   string
	}{
		{nil, false, false, "535 5.7.8"},
		{[]Ref[Authenticator]{machine}, false, true, "535 5.7.8"},
		{[]Ref[Authenticator]{passwords("app")}, true, false, ""},
		{[]Ref[Authenticator]{machine, passwords("app")}, true, true, ""},
	} {
		b := open(t, &Pipeline{Auth: c.auth})
		if b.TakesPasswords() != c.passwords || b.TakesCertificates() != c.certificates || b.CanAuthenticate() != (c.auth != nil) {
			t.Errorf("%v: passwords %t, certificates %t, anybody %t", c.auth, b.TakesPasswords(), b.TakesCertificates(), b.CanAuthenticate())
		}
		id, err := b.Authenticate(t.Context(), stranger(), "app", NewSecret("right"))
		if c.reply != "" {
			wantReply(t, err, c.reply)
		} else if err != nil || id.User != "app" {
			t.Errorf("%+v, %v", id, err)
		}
	}
}

// fakeGuard is a LoginGuard that answers as it is told.
type fakeGuard struct {
	LoginGuard
	welcome, begin *Reply
	seen           []string
}

func (g *fakeGuard) Welcome(client netip.Addr, users bool) *Reply {
	g.seen = append(g.seen, fmt.Sprint("welcome ", client, " ", users))
	return g.welcome
}

func (g *fakeGuard) Begin(_ context.Context, l LoginAttempt) (func(LoginOutcome), error) {
	g.seen = append(g.seen, fmt.Sprintf("begin %s %s %s", l.Client, l.User, l.Password.Reveal()))
	if g.begin != nil {
		return nil, g.begin
	}
	return func(o LoginOutcome) { g.seen = append(g.seen, fmt.Sprint("end ", o)) }, nil
}

func (g *fakeGuard) Offended(client netip.Addr) { g.seen = append(g.seen, "offended "+client.String()) }

// TestGuard: the guard hears of every log-in, before and after, and what it
// refuses no authenticator is asked; trusted networks never come to it.
func TestGuard(t *testing.T) {
	lost := authenticator("lost", func(string, string) (Identity, error) { return Identity{}, errors.New("down") })
	for _, c := range []struct {
		name, user, password string
		auth                 Ref[Authenticator]
		begin                *Reply
		want, reply          string
	}{
		{"good", "app", "right", passwords("app"), nil, "[begin 192.0.2.1 app right end 0]", ""},
		{"bad", "app", "wrong", passwords("app"), nil, "[begin 192.0.2.1 app wrong end 1]", "535 5.7.8"},
		{"unknown", "app", "right", lost, nil, "[begin 192.0.2.1 app right end 2]", "454 4.7.0"},
		{"panic", "app", "right", authenticator("bug", func(string, string) (Identity, error) { panic("a bug") }), nil,
			"[begin 192.0.2.1 app right end 2]", "454 4.7.0"},
		{"refused", "app", "right", authenticator("never", func(string, string) (Identity, error) { t.Error("asked"); return Identity{}, nil }),
			NewReply(421, 7, 0, "banned"), "[begin 192.0.2.1 app right]", "421 4.7.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, g := open(t, &Pipeline{Auth: []Ref[Authenticator]{c.auth}}), &fakeGuard{begin: c.begin}
			b.house.Logins = g
			id, err := b.Authenticate(t.Context(), stranger(), c.user, NewSecret(c.password))
			if got := fmt.Sprint(g.seen); got != c.want {
				t.Errorf("the guard saw %s, want %s", got, c.want)
			}
			if c.reply == "" {
				if err != nil || id.User != "app" {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			wantReply(t, err, c.reply)
			if len(b.events) != 1 || b.events[0].Kind != EventAuthFailed || b.events[0].User != "app" {
				t.Errorf("events %s", b.kinds())
			}
		})
	}
	b, g := open(t, &Pipeline{Auth: []Ref[Authenticator]{passwords("app")}}), &fakeGuard{welcome: NewReply(421, 7, 0, "banned")}
	b.house.Logins = g
	s := stranger()
	s.Submission = true
	wantReply(t, b.Connect(t.Context(), s), "421 4.7.0")
	b.Offended(s)
	s.Trusted = "192.0.2.0/24"
	if err := b.Connect(t.Context(), s); err != nil {
		t.Errorf("a trusted client: %v", err)
	}
	b.Offended(s)
	if _, err := b.Authenticate(t.Context(), s, "app", NewSecret("right")); err != nil {
		t.Errorf("a trusted client: %v", err)
	}
	if got := fmt.Sprint(g.seen); got != "[welcome 192.0.2.1 true offended 192.0.2.1]" {
		t.Errorf("the guard saw %s", got)
	}
}
