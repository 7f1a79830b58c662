package smtpconn

import (
	"context"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A TLSMode is how much TLS a connection must have. The zero TLSMode is for
// modules whose default depends on something else.
type TLSMode string

// The modes.
const (
	TLSNone          TLSMode = "none"          // plain text, STARTTLS is not used
	TLSOpportunistic TLSMode = "opportunistic" // TLS where offered, plain text where it fails (RFC 7435)
	TLSRequired      TLSMode = "required"      // TLS or nothing, with any certificate
	TLSVerified      TLSMode = "verified"      // TLS or nothing, with a certificate for the server's name
	TLSImplicit      TLSMode = "implicit"      // verified, from the first octet on (RFC 8314, section 3.3)
	TLSDANE          TLSMode = "dane"          // TLS or nothing, with a certificate of Target.DANE (RFC 7672)
)

// ParseTLSMode parses a mode out of those that are allowed.
func ParseTLSMode(s string, allowed ...TLSMode) (TLSMode, error) {
	words := make([]string, len(allowed))
	for i, m := range allowed {
		if s == string(m) {
			return m, nil
		}
		words[i] = fmt.Sprintf("%q", string(m))
	}
	last := len(words) - 1
	return "", fmt.Errorf("%q is not a TLS mode here; write %s or %s", s, strings.Join(words[:last], ", "), words[last])
}

// Verifies says that the server must prove who it is.
func (m TLSMode) Verifies() bool { return m.authorities() || m == TLSDANE }

// authorities says that it must prove it by a certificate of an authority.
func (m TLSMode) authorities() bool { return m == TLSVerified || m == TLSImplicit }

// mandatory says that nothing may be sent in plain text.
func (m TLSMode) mandatory() bool { return m == TLSRequired || m.Verifies() }

// startTLS turns the connection into TLS if its mode asks for that and the
// server offers it, and says hello again.
func (c *conn) startTLS(ctx context.Context) error {
	mode := c.target.TLS
	if c.tls != nil || mode == TLSNone {
		return nil
	}
	if !c.ext.startTLS {
		c.report(ctx, ErrNoTLS)
		if mode.mandatory() {
			return c.fail(appliance.Replyf(451, 7, 4, "%s does not offer STARTTLS, and %s", c.target.Name, c.target.Policy.demand()))
		}
		return nil
	}
	r, err := c.command(ctx, stageStartTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if r.code != 220 {
		return c.startTLSRefused(ctx, r)
	}
	// Whatever came with the 220 was not protected by TLS and would be taken
	// for an answer that was (CVE-2021-38371).
	if c.r.Buffered() > 0 {
		return c.fail(appliance.Replyf(451, 7, 0, "%s sent plain text after it agreed to STARTTLS: somebody may be interfering", c.target.Name))
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	// RFC 3207, section 4.2: what was learned before TLS is discarded.
	c.ext = extensions{}
	return c.hello(ctx)
}

func (c *conn) startTLSRefused(ctx context.Context, r reply) error {
	if c.broken {
		return c.fail(c.sentAway(r, stageStartTLS))
	}
	c.report(ctx, ErrNoTLS)
	switch {
	case c.target.TLS.mandatory():
		return c.fail(appliance.Replyf(451, 7, 4, "%s refused STARTTLS, and %s: %s", c.target.Name, c.target.Policy.demand(), r))
	}
	return nil
}
