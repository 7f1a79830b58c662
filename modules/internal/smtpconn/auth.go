package smtpconn

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Login is what we authenticate ourselves with.
type Login struct {
	Username string
	Password appliance.Secret
	// External logs in with the certificate that is shown in the TLS handshake
	// (mechanism EXTERNAL) and without a password; Username may be empty.
	External bool
	// InClear lets the password go over a connection without TLS: only for
	// servers on this machine.
	InClear bool
}

// authenticate logs in if the pool has credentials (RFC 4954). Every failure
// is temporary: wrong credentials are a mistake of this configuration, not of
// the message.
func (c *conn) authenticate(ctx context.Context) error {
	l := c.pool.cfg.Login
	if l == nil {
		return nil
	}
	if c.tls == nil && !l.InClear {
		return c.fail(appliance.Replyf(451, 7, 11, "%s does not offer TLS; nobody logs in in plain text", c.target.Name))
	}
	login, what := c.password, "user name and password"
	if l.External {
		login, what = c.external, "client certificate"
	}
	r, err := login(ctx, l)
	if err != nil {
		return err
	}
	if r.code != 235 {
		return c.fail(appliance.Replyf(451, 7, 8, "%s does not accept our %s: %s", c.target.Name, what, r))
	}
	return nil
}

// password logs in with PLAIN or LOGIN, and returns the reply that ends it.
func (c *conn) password(ctx context.Context, l *Login) (reply, error) {
	switch {
	case c.ext.offersAuth("PLAIN"):
		// RFC 4616, section 2: [authzid] UTF8NUL authcid UTF8NUL passwd
		return c.sasl(ctx, "PLAIN", encode("\x00"+l.Username+"\x00"+l.Password.Reveal()))
	case c.ext.offersAuth("LOGIN"):
		return c.sasl(ctx, "LOGIN", "", l.Username, l.Password.Reveal())
	}
	return reply{}, c.unknownMechanisms("PLAIN, LOGIN")
}

// external logs in as whom our certificate says. RFC 4422, appendix A.1: the
// initial response is who we want to be, empty if that follows from it.
func (c *conn) external(ctx context.Context, l *Login) (reply, error) {
	switch {
	case !c.asked:
		return reply{}, c.fail(appliance.Replyf(451, 7, 4, "%s has not asked for a client certificate, which we log in with", c.target.Name))
	case !c.ext.offersAuth("EXTERNAL"):
		return reply{}, c.unknownMechanisms("EXTERNAL")
	}
	initial := encode(l.Username)
	if initial == "" {
		initial = "=" // RFC 4954, section 4: an initial response of no octets
	}
	return c.sasl(ctx, "EXTERNAL", initial)
}

func (c *conn) unknownMechanisms(wanted string) error {
	return c.fail(appliance.Replyf(451, 7, 4, "%s offers no AUTH mechanism we can use (%s), only %q",
		c.target.Name, wanted, strings.Join(c.ext.auth, " ")))
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// sasl runs an exchange of an initial response, encoded, or "" for none, and
// one answer to each challenge. LOGIN is answered whatever its challenges say:
// servers do not agree on the wording. It returns the reply that ends the
// exchange.
func (c *conn) sasl(ctx context.Context, mechanism, initial string, answers ...string) (reply, error) {
	line, shown := "AUTH "+mechanism, "AUTH "+mechanism
	if initial != "" {
		line += " " + initial
		shown += " (secret)"
	}
	r, err := c.secret(ctx, line, shown)
	for err == nil && r.code == 334 {
		if len(answers) == 0 {
			return r, c.lost(ctx, stageAuth, protocolError("one challenge too many"))
		}
		r, err = c.secret(ctx, encode(answers[0]), "(secret)")
		answers = answers[1:]
	}
	return r, err
}

// secret sends a line and puts another one into the transcript.
func (c *conn) secret(ctx context.Context, line, shown string) (reply, error) {
	return c.roundTrip(ctx, stageAuth, line, shown)
}
