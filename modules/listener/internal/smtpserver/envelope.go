package smtpserver

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// mail begins a transaction (RFC 5321, section 4.1.1.2).
func (s *session) mail(ctx context.Context, arg string) {
	switch {
	case !s.greeted:
		s.refuse(errNoHello)
		return
	case s.tx != nil:
		// RFC 5321, section 4.1.4: "MAIL … MUST NOT be sent if a mail
		// transaction is already open".
		s.refuse(errNested)
		return
	case s.info.Submission && !s.info.MayRelay():
		s.refuse(s.authRequired())
		return
	}
	env, err := parseMail(arg, s.srv.role.Submission)
	if err != nil {
		s.refuse(err)
		return
	}
	if !s.srv.mayBegin(s.info) {
		s.refuse(errTooMuch)
		return
	}
	p, release := s.srv.Acquire()
	tx, err := s.begin(ctx, p, env)
	if err != nil {
		release()
		s.refuse(err)
		return
	}
	s.tx = &transaction{tx, p, release}
	s.say(250, 1, 0, "Sender OK")
}

// mayBegin counts a message of a client that is neither a user nor trusted, and
// says whether it may be.
func (s *Server) mayBegin(info *appliance.Session) bool {
	key, known := appliance.ClientNetwork(info.Client.Addr())
	if !known || info.MayRelay() || s.messages.allow(key, time.Now()) {
		return true
	}
	s.metrics.tooMuch.Inc()
	return false
}

// begin asks p, which is the pipeline that will have the message: a reload may
// have put it in the place of the one that EHLO spoke for.
func (s *session) begin(ctx context.Context, p *appliance.Pipeline, env appliance.Envelope) (*appliance.Transaction, error) {
	if env.RequireTLS {
		if err := s.mayRequireTLS(p); err != nil {
			return nil, err
		}
	}
	return p.Mail(ctx, s.info, env)
}

// authRequired says what a client has to do before it may send.
func (s *session) authRequired() *appliance.Reply {
	if s.info.TLS == nil && s.srv.tls != nil {
		// RFC 3207, section 4.
		return appliance.NewReply(530, 7, 0, "Must issue a STARTTLS command first")
	}
	wantsCertificate := false
	s.srv.with(func(p *appliance.Pipeline) { wantsCertificate = p.TakesCertificates() && !p.TakesPasswords() })
	if wantsCertificate && !s.showedCertificate() {
		return errCertificateRequired
	}
	return appliance.ErrAuthRequired
}

// rcpt adds a recipient (RFC 5321, section 4.1.1.3).
func (s *session) rcpt(ctx context.Context, arg string) {
	if s.tx == nil {
		s.refuse(errNoMail)
		return
	}
	to, err := parseRcpt(arg, s.tx.Envelope.SMTPUTF8)
	if err == nil {
		err = s.tx.pipeline.Rcpt(ctx, s.tx.Transaction, to)
	}
	if err != nil {
		s.refuse(err)
		return
	}
	s.say(250, 1, 5, "Recipient OK")
}

// parseMail parses what follows MAIL. authParam lets AUTH= pass (RFC 4954,
// section 5): it is understood and ignored, because nobody is trusted to name
// somebody else.
func parseMail(arg string, authParam bool) (appliance.Envelope, error) {
	var env appliance.Envelope
	path, rest, ok := cutPath(arg, "FROM:")
	if !ok {
		return env, appliance.NewReply(501, 1, 7, "Write MAIL FROM:<address>")
	}
	params, err := parseParams(rest)
	if err != nil {
		return env, err
	}
	for _, p := range params {
		if err := setMailParam(&env, p, authParam); err != nil {
			return env, err
		}
	}
	if path == "" {
		return env, nil // the null reverse-path
	}
	env.From, err = parseMailbox(path, env.SMTPUTF8)
	if err == nil && env.From.Domain == "" {
		err = appliance.NewReply(501, 1, 7, "The sender address needs a domain")
	}
	if err != nil {
		return env, badAddress(err, 7)
	}
	return env, nil
}

// parseRcpt parses what follows RCPT. RFC 6531, section 3.4: whether UTF-8 is
// allowed was said with MAIL.
func parseRcpt(arg string, utf8Allowed bool) (appliance.Recipient, error) {
	var to appliance.Recipient
	path, rest, ok := cutPath(arg, "TO:")
	if !ok || path == "" {
		return to, appliance.NewReply(501, 1, 3, "Write RCPT TO:<address>")
	}
	params, err := parseParams(rest)
	if err != nil {
		return to, err
	}
	for _, p := range params {
		if err := setRcptParam(&to, p, utf8Allowed); err != nil {
			return to, err
		}
	}
	if to.Mailbox, err = parseMailbox(path, utf8Allowed); err != nil {
		return to, badAddress(err, 3)
	}
	return to, nil
}

// cutPath takes the keyword and the path off the front of arg. A space after
// the colon is let pass: RFC 5321, section 3.3 forbids it, and many clients
// send it. The path is what stands between the brackets; a ">" within a quoted
// local part does not end it.
func cutPath(arg, keyword string) (path, rest string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", false
	}
	arg, ok = strings.CutPrefix(strings.TrimLeft(arg[len(keyword):], " "), "<")
	if !ok {
		return "", "", false
	}
	end := endOfPath(arg)
	if end < 0 {
		return "", "", false
	}
	path, rest = arg[:end], arg[end+1:]
	if rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	return path, rest, true
}

func endOfPath(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// parseMailbox parses an address; one that is not ASCII needs SMTPUTF8.
func parseMailbox(s string, utf8Allowed bool) (appliance.Mailbox, error) {
	if !utf8.ValidString(s) {
		return appliance.Mailbox{}, appliance.NewReply(501, 5, 2, "Addresses are ASCII, or UTF-8 with SMTPUTF8")
	}
	if !utf8Allowed && !plainASCII(s) {
		// RFC 6531, section 3.5.
		return appliance.Mailbox{}, appliance.NewReply(553, 6, 7, "Addresses that are not ASCII need SMTPUTF8 with MAIL")
	}
	return appliance.ParseMailbox(s)
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// badAddress turns a parse error into x.1.3 or x.1.7 (RFC 3463, section 3.2).
func badAddress(err error, detail int) error {
	if r, ok := err.(*appliance.Reply); ok { //nolint:errorlint // ours, made by parseMailbox
		return r
	}
	return appliance.NewReply(501, 1, detail, "Not a valid address; write <user@example.org>").With(err)
}
