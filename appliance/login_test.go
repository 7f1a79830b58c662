package appliance

import (
	"context"
	"errors"
	"fmt"
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
