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
		return c.fail(appliance.Replyf(451, 7, 11, "%s does not offer TLS; the password is not sent in plain text", c.target.Name))
	}
	var r reply
	var err error
	switch {
	case c.ext.offersAuth("PLAIN"):
		// RFC 4616, section 2: [authzid] UTF8NUL authcid UTF8NUL passwd
		r, err = c.sasl(ctx, "PLAIN", "\x00"+l.Username+"\x00"+l.Password.Reveal())
	case c.ext.offersAuth("LOGIN"):
		r, err = c.sasl(ctx, "LOGIN", "", l.Username, l.Password.Reveal())
	default:
		return c.fail(appliance.Replyf(451, 7, 4, "%s offers no AUTH mechanism we know (PLAIN, LOGIN), only %q",
			c.target.Name, strings.Join(c.ext.auth, " ")))
	}
	if err != nil {
		return err
	}
	if r.code != 235 {
		return c.fail(appliance.Replyf(451, 7, 8, "%s does not accept our user name and password: %s", c.target.Name, r))
	}
	return nil
}

// sasl runs an exchange of an initial response, "" for none, and one answer
// to each challenge. LOGIN is answered whatever its challenges say: servers
// do not agree on the wording. It returns the reply that ends the exchange.
func (c *conn) sasl(ctx context.Context, mechanism, initial string, answers ...string) (reply, error) {
	line, shown := "AUTH "+mechanism, "AUTH "+mechanism
	if initial != "" {
		line += " " + base64.StdEncoding.EncodeToString([]byte(initial))
		shown += " (secret)"
	}
	r, err := c.secret(ctx, line, shown)
	for err == nil && r.code == 334 {
		if len(answers) == 0 {
			return r, c.lost(ctx, stageAuth, protocolError("one challenge too many"))
		}
		r, err = c.secret(ctx, base64.StdEncoding.EncodeToString([]byte(answers[0])), "(secret)")
		answers = answers[1:]
	}
	return r, err
}

// secret sends a line and puts another one into the transcript.
func (c *conn) secret(ctx context.Context, line, shown string) (reply, error) {
	return c.roundTrip(ctx, stageAuth, line, shown)
}
