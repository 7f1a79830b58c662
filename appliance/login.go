package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// CanAuthenticate says whether anybody could log in.
func (p *Pipeline) CanAuthenticate() bool { return len(p.Auth) > 0 }

// TakesPasswords says whether anybody could log in with a password.
func (p *Pipeline) TakesPasswords() bool {
	return slices.ContainsFunc(p.Auth, func(a Ref[Authenticator]) bool { return !isExternal(a.To()) })
}

// TakesCertificates says whether anybody could log in with the certificate
// that his TLS client shows.
func (p *Pipeline) TakesCertificates() bool {
	return slices.ContainsFunc(p.Auth, func(a Ref[Authenticator]) bool { return isExternal(a.To()) })
}

func isExternal(a Authenticator) bool {
	_, ok := a.(ExternalAuthenticator)
	return ok
}

// Authenticate asks the authenticators that take passwords in turn. The error
// is ErrBadCredentials if each says that the credentials are wrong, and
// ErrAuthFailing if one could not find out (RFC 4954, section 6). If too many
// have failed before, nobody is asked, and the reply is a 4yz of the
// [LoginGuard].
func (p *Pipeline) Authenticate(ctx context.Context, s *Session, user string, password Secret) (Identity, error) {
	return p.guarded(ctx, s, LoginAttempt{User: user, Password: password}, func(ctx context.Context, s *Session, a Authenticator) (Identity, error) {
		if isExternal(a) {
			return Identity{}, ErrCredentials
		}
		return a.Authenticate(ctx, s, user, password)
	})
}

// AuthenticateExternal asks those that know clients by their certificates, for
// a client that wants to be user, or "" for whoever it is (RFC 4422, appendix
// A). The errors are those of Authenticate.
func (p *Pipeline) AuthenticateExternal(ctx context.Context, s *Session, user string) (Identity, error) {
	return p.guarded(ctx, s, LoginAttempt{User: user}, func(ctx context.Context, s *Session, a Authenticator) (Identity, error) {
		if e, ok := a.(ExternalAuthenticator); ok {
			return e.AuthenticateExternal(ctx, s, user)
		}
		return Identity{}, ErrCredentials
	})
}

// An asker asks one authenticator who the client of a session is.
type asker func(ctx context.Context, s *Session, a Authenticator) (Identity, error)

// welcome says why a client may not connect, or nil.
func (p *Pipeline) welcome(s *Session) *Reply {
	if p.house.Logins == nil || s.Trusted != "" {
		return nil
	}
	return p.house.Logins.Welcome(s.Client.Addr(), s.Submission && p.CanAuthenticate())
}

// Offended notes that a listener has closed the connection of a client because
// of what the client did: errors without end, or another protocol.
func (p *Pipeline) Offended(s *Session) {
	if p.house.Logins != nil && s.Trusted == "" {
		p.house.Logins.Offended(s.Client.Addr())
	}
}

// guarded has the guard decide whether, and when, the authenticators are
// asked. Who comes from a trusted network could send without logging in.
func (p *Pipeline) guarded(ctx context.Context, s *Session, l LoginAttempt, ask asker) (Identity, error) {
	if p.house.Logins == nil || s.Trusted != "" {
		return p.login(ctx, s, l.User, ask)
	}
	l.Client = s.Client.Addr()
	end, err := p.house.Logins.Begin(ctx, l)
	if err != nil {
		return Identity{}, p.loginFailed(s, l.User, ReplyTo(err))
	}
	outcome := LoginUnknown
	defer func() { end(outcome) }()
	id, err := p.login(ctx, s, l.User, ask)
	switch {
	case err == nil:
		outcome = LoginGood
	case ReplyTo(err).Permanent():
		outcome = LoginBad
	}
	return id, err
}

// login asks each authenticator by way of ask. A failure has an event, whose
// cause is what the last of those that could not find out said; else the last
// that has more to say than that the credentials are wrong.
func (p *Pipeline) login(ctx context.Context, s *Session, user string, ask asker) (Identity, error) {
	reply := ErrBadCredentials
	for _, a := range p.Auth {
		id, err := p.vouch(ctx, s, a, ask)
		switch {
		case err == nil:
			return id, nil
		case !errors.Is(err, ErrCredentials):
			reply = ErrAuthFailing.With(fmt.Errorf("%s: %w", a.Addr(), err))
		case err != ErrCredentials && reply.Permanent(): //nolint:errorlint // does it say more?
			reply = ErrBadCredentials.With(fmt.Errorf("%s: %w", a.Addr(), err))
		}
	}
	return Identity{}, p.loginFailed(s, user, reply)
}

func (p *Pipeline) loginFailed(s *Session, user string, reply *Reply) error {
	p.emit(Event{
		Kind: EventAuthFailed, Session: s.ID, Listener: s.Listener.Name, User: user,
		Client: clientIP(s), Reply: reply,
	})
	return reply
}

// vouch asks one authenticator. Whoever logs in has a name: there are rules by
// name, and none may be passed by without one.
func (p *Pipeline) vouch(ctx context.Context, s *Session, a Ref[Authenticator], ask asker) (Identity, error) {
	session, id := *s, Identity{}
	_, err := p.await(ctx, a.Addr(), func(ctx context.Context) (err error) {
		id, err = ask(ctx, &session, a.To())
		return err
	})
	switch {
	case err != nil: // also if it has not returned: id is its own then
		return Identity{}, err
	case id.User == "":
		return Identity{}, errors.New("accepted the credentials of nobody")
	case id.By.IsZero():
		id.By = a.Addr()
	}
	return id, nil
}
