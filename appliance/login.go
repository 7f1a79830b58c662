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
// ErrAuthFailing if one could not find out (RFC 4954, section 6).
func (p *Pipeline) Authenticate(ctx context.Context, s *Session, user string, password Secret) (Identity, error) {
	return p.login(s, user, func(a Authenticator) (Identity, error) {
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
	return p.login(s, user, func(a Authenticator) (Identity, error) {
		if e, ok := a.(ExternalAuthenticator); ok {
			return e.AuthenticateExternal(ctx, s, user)
		}
		return Identity{}, ErrCredentials
	})
}

// login asks each authenticator by way of ask. A failure has an event, whose
// cause is what the last of those that could not find out said; else the last
// that has more to say than that the credentials are wrong.
func (p *Pipeline) login(s *Session, user string, ask func(Authenticator) (Identity, error)) (Identity, error) {
	reply := ErrBadCredentials
	for _, a := range p.Auth {
		id, err := p.vouch(a, ask)
		switch {
		case err == nil:
			return id, nil
		case !errors.Is(err, ErrCredentials):
			reply = ErrAuthFailing.With(fmt.Errorf("%s: %w", a.Addr(), err))
		case err != ErrCredentials && reply.Permanent(): //nolint:errorlint // does it say more?
			reply = ErrBadCredentials.With(fmt.Errorf("%s: %w", a.Addr(), err))
		}
	}
	p.emit(Event{
		Kind: EventAuthFailed, Session: s.ID, Listener: s.Listener.Name, User: user,
		Client: clientIP(s), Reply: reply,
	})
	return Identity{}, reply
}

// vouch asks one authenticator. Whoever logs in has a name: there are rules by
// name, and none may be passed by without one.
func (p *Pipeline) vouch(a Ref[Authenticator], ask func(Authenticator) (Identity, error)) (id Identity, err error) {
	err = p.guard(a.Addr(), func() (err error) {
		id, err = ask(a.To())
		return err
	})
	switch {
	case err != nil:
		return Identity{}, err
	case id.User == "":
		return Identity{}, errors.New("accepted the credentials of nobody")
	case id.By.IsZero():
		id.By = a.Addr()
	}
	return id, nil
}
