package smtpserver

import (
	"context"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/emersion/go-sasl"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A mechanism is the server's side of one SASL exchange (RFC 4422). Next is
// given nil when the client sent no initial response.
type mechanism = sasl.Server

// mechanisms are the ones known, all of them under TLS only.
var mechanisms = map[string]func(*login) mechanism{
	sasl.External: func(l *login) mechanism { return sasl.NewExternalServer(l.identify) },
	sasl.Plain: func(l *login) mechanism {
		return sasl.NewPlainServer(func(authzid, user, password string) error {
			return l.verify(authzid, user, appliance.NewSecret(password))
		})
	},
	sasl.Login: func(l *login) mechanism { return &loginMechanism{login: l} },
}

// mechanisms are the names of those offered to this client, in the order in
// which they are announced: many clients take the first that they can do.
func (s *session) mechanisms(p *appliance.Pipeline) []string {
	var names []string
	if s.showedCertificate() && p.TakesCertificates() {
		names = append(names, sasl.External)
	}
	if p.TakesPasswords() {
		names = append(names, sasl.Plain, sasl.Login)
	}
	return names
}

// showedCertificate says whether the client has proved in the handshake that
// it holds the key of a certificate, whoever issued that.
func (s *session) showedCertificate() bool {
	return s.info.TLS != nil && len(s.info.TLS.PeerCertificates) > 0
}

// A login asks the pipeline once whether a user is who he says he is.
type login struct {
	s        *session
	ctx      context.Context //nolint:containedctx // lives as long as one AUTH command
	p        *appliance.Pipeline
	identity appliance.Identity
}

// maxUser is the longest user name taken, in octets.
const maxUser = 320

// verify refuses what no authenticator should be bothered with, and asks.
func (l *login) verify(authzid, user string, password appliance.Secret) (err error) {
	switch {
	case authzid != "" && authzid != user:
		// RFC 4616, section 2: to act as somebody else is a privilege that
		// nobody has here.
		return appliance.ErrBadCredentials
	case user == "" || len(user) > maxUser || !printableUTF8(user):
		return appliance.ErrBadCredentials
	case password.Reveal() == "" || !utf8.ValidString(password.Reveal()):
		// Some directories take an empty password for an anonymous bind, and
		// anonymous for success (RFC 4513, section 5.1.2).
		return appliance.ErrBadCredentials
	}
	l.identity, err = l.p.Authenticate(l.ctx, l.s.info, user, password)
	return err
}

// identify asks who the client is by its certificate. RFC 4422, appendix A.1:
// the response is the authorization identity, "" for that which goes with the
// credentials.
func (l *login) identify(authzid string) (err error) {
	if len(authzid) > maxUser || !printableUTF8(authzid) {
		return appliance.ErrBadCredentials
	}
	l.identity, err = l.p.AuthenticateExternal(l.ctx, l.s.info, authzid)
	return err
}

// loginMechanism is LOGIN, which has no RFC and which Outlook and many devices
// need: two prompts, two answers. The user may come as initial response.
type loginMechanism struct {
	*login
	asked bool
	user  *string
}

var errLoginOver = errors.New("LOGIN: response after the end")

// Next implements sasl.Server.
func (m *loginMechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil && !m.asked:
		m.asked = true
		return []byte("Username:"), false, nil
	case m.login == nil:
		return nil, false, errLoginOver
	case m.user == nil:
		user := string(response)
		m.user = &user
		return []byte("Password:"), false, nil
	}
	l := m.login
	m.login = nil
	if slices.Contains(response, 0) {
		return nil, false, errAuthSyntax
	}
	return nil, true, l.verify("", *m.user, appliance.NewSecret(string(response)))
}
