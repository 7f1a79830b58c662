package smtpserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

var (
	errAuthOff       = appliance.NewReply(502, 5, 1, "AUTH is not offered here; hand in your mail on port 587 or 465")
	errAuthClear     = appliance.NewReply(538, 7, 11, "Encryption is required to log in; use STARTTLS first")
	errAuthTwice     = appliance.NewReply(503, 5, 1, "You have logged in already")
	errAuthUnknown   = appliance.NewReply(504, 5, 4, "This authentication mechanism is not offered; see the reply to EHLO")
	errNoCertificate = appliance.NewReply(504, 5, 4, "To log in with EXTERNAL, show a client certificate in the TLS handshake")
	errAuthBase64    = appliance.NewReply(501, 5, 2, "Cannot decode the response; send base64")
	errAuthSyntax    = appliance.NewReply(501, 5, 2, "Malformed response for this authentication mechanism")
	errAuthCancel    = appliance.NewReply(501, 7, 0, "Authentication cancelled")
	errAuthLong      = appliance.NewReply(500, 5, 6, "Authentication line is too long")
)

// errCertificateRequired is for clients that see no AUTH, since they have not
// shown what they could log in with.
var errCertificateRequired = appliance.NewReply(530, 7, 0, "Authentication required; show a client certificate in the TLS handshake, then AUTH EXTERNAL")

// authWeight is how many errors a failed login counts as.
const authWeight = 5

// mayAuthenticate says why AUTH is not possible now, if it is not.
func (s *session) mayAuthenticate(p *appliance.Pipeline) *appliance.Reply {
	switch {
	case !s.info.Submission || !p.CanAuthenticate():
		return errAuthOff
	case s.info.TLS == nil:
		// RFC 4954, section 6: "538 5.7.11 Encryption required for requested
		// authentication mechanism". There is no exception.
		return errAuthClear
	case s.info.Identity != nil:
		return errAuthTwice
	}
	return nil
}

// auth logs a user in (RFC 4954).
func (s *session) auth(ctx context.Context, arg string) {
	p, release := s.srv.Acquire()
	defer release()
	name, initial, hasInitial := strings.Cut(arg, " ")
	name = strings.ToUpper(name)
	reply := s.mayAuthenticate(p)
	switch {
	case reply != nil:
		s.refuse(reply)
	case !s.greeted:
		s.refuse(errNoHello)
	case s.tx != nil:
		// RFC 4954, section 4: "not permitted during a mail transaction".
		s.refuse(errNested)
	case name == "" || strings.Contains(initial, " "):
		s.refuse(appliance.NewReply(501, 5, 4, "Write AUTH, a mechanism, and at most one response"))
	case name == sasl.External && p.TakesCertificates() && !s.showedCertificate():
		s.refuse(errNoCertificate)
	case !slices.Contains(s.mechanisms(p), name):
		s.refuse(errAuthUnknown)
	case !s.srv.mayLogin():
		s.notYet()
	default:
		l := &login{s: s, ctx: ctx, p: p}
		s.exchange(l, mechanisms[name](l), initial, hasInitial)
	}
}

// notYet refuses to hear a password, before a challenge has asked for it. That
// is nobody's failure to log in, and counts as a command that brings no
// message forward.
func (s *session) notYet() {
	s.srv.metrics.notReady.Inc()
	if !s.tolerate() {
		s.banish(errJunk)
		return
	}
	s.refuse(errNotReady)
}

// exchange runs the challenges and responses of a mechanism.
func (s *session) exchange(l *login, mech mechanism, initial string, hasInitial bool) {
	var response []byte
	var err error
	if hasInitial {
		response, err = decodeResponse([]byte(initial))
	}
	for err == nil {
		var challenge []byte
		var done bool
		challenge, done, err = mech.Next(response)
		if err != nil || done {
			break
		}
		writePlain(s.wire.w, 334, base64.StdEncoding.EncodeToString(challenge))
		response, err = s.readResponse()
	}
	if s.closing {
		return // the connection was lost in mid exchange
	}
	if err == nil && !s.srv.crowd.login(s, l.identity.User) {
		s.srv.metrics.refused.WithLabelValues(refusedUser.reason).Inc()
		s.expel(refusedUser.reply)
		return
	}
	if err == nil {
		s.info.Identity = &l.identity
		s.log.Debug("logged in", zap.String("user", l.identity.User))
		s.say(235, 7, 0, "Authentication succeeded")
		return
	}
	s.authFailed(err)
}

func (s *session) authFailed(err error) {
	r, ok := errors.AsType[*appliance.Reply](err)
	if !ok {
		r = errAuthSyntax.With(err) // of the mechanism
	}
	s.log.Debug("authentication failed", zap.Int("code", r.Code), zap.String("reply", r.Text))
	weight := 1
	if r.Code == 535 {
		weight = authWeight
	}
	s.blame(r, weight)
}

// readResponse reads one line of an exchange.
func (s *session) readResponse() ([]byte, error) {
	line, err := s.wire.readLine()
	switch {
	case errors.Is(err, errLineTooLong), len(line) > maxAuthLine:
		s.expel(errAuthLong)
		return nil, errAuthLong
	case errors.Is(err, errBareLF):
		return nil, errLineEnd
	case err != nil:
		s.unreadable(err)
		return nil, err
	case string(line) == "*":
		// RFC 4954, section 4: a client cancels with a single "*".
		return nil, errAuthCancel
	case s.wire.ahead():
		s.expel(errTooEarly)
		return nil, errTooEarly
	}
	return decodeResponse(line)
}

// decodeResponse decodes base64; "=" is the empty response (RFC 4954, section
// 4). The result is not nil.
func decodeResponse(line []byte) ([]byte, error) {
	if string(line) == "=" {
		return []byte{}, nil
	}
	out, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, bytes.TrimRight(line, " "))
	if err != nil {
		return nil, errAuthBase64 // err would quote the response
	}
	return out, nil
}
