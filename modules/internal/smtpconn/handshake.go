package smtpconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/dane"
)

// handshake does the TLS handshake over the connection as it is.
func (c *conn) handshake(ctx context.Context) error {
	cfg := c.pool.tls.Clone()
	cfg.ServerName = cmp.Or(c.target.ServerName, c.target.Name)
	cfg.InsecureSkipVerify = !c.target.TLS.authorities()
	if c.target.TLS == TLSDANE {
		cfg.VerifyConnection = c.verifyDANE
	}
	if c.pool.cfg.ClientCertificate != nil {
		cfg.GetClientCertificate = c.showCertificate
	}
	ctx, cancel := context.WithTimeout(ctx, c.pool.cfg.Timeouts.Handshake)
	defer cancel()
	_ = c.nc.SetDeadline(time.Time{}) // ctx bounds the handshake
	tc := tls.Client(c.nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		return c.handshakeFailed(ctx, err)
	}
	c.setConn(tc)
	cs := tc.ConnectionState()
	c.tls = &cs
	c.log.note("TLS: " + appliance.DescribeTLS(&cs))
	c.report(ctx, nil)
	if c.pool.cfg.ClientCertificate != nil && c.pool.cfg.Configured && !c.asked {
		c.pool.unasked.Do(func() {
			c.pool.log.Warn("the server does not ask for our client certificate, which is therefore not shown", zap.String("host", c.target.Name))
		})
	}
	return nil
}

// showCertificate is for [tls.Config]. The certificate is shown whatever
// authorities the server says it knows: one that goes by fingerprints, as
// Postfix with relay_clientcerts, knows none. One that the server has not the
// algorithms for is not, and the handshake goes on without.
func (c *conn) showCertificate(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.asked = true
	own := c.pool.cfg.ClientCertificate()
	anyone := *info
	anyone.AcceptableCAs = nil
	if err := anyone.SupportsCertificate(own); err != nil {
		c.log.note("our client certificate is not shown: " + err.Error())
		return new(tls.Certificate), nil
	}
	return own, nil
}

// handshakeUndone says whether an error after the handshake is the end of it.
// In TLS 1.3 the client is done before the server has seen its certificate
// (RFC 8446, section 2): what the server thinks of it comes instead of the first
// reply.
func (c *conn) handshakeUndone(ctx context.Context, err error) bool {
	if c.tls == nil || c.heard || ctx.Err() != nil || timedOut(err) || errors.Is(err, errProtocol) {
		return false
	}
	_, isAlert := alert(err)
	return isAlert || c.asked // some servers hang up without an alert
}

// alert returns the alert that the server sent.
func alert(err error) (string, bool) {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return e.Err.Error(), true
	}
	return "", false
}

func (c *conn) handshakeFailed(ctx context.Context, err error) *Failure {
	c.log.note("TLS handshake failed: " + printable([]byte(err.Error())))
	r := appliance.Replyf(451, 7, 5, "TLS with %s failed", c.target.Name)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		r = appliance.Replyf(451, 7, 5, "The certificate of %s is not valid for it%s%s", c.target.Name, problem(err), c.target.Policy.because())
	}
	if errors.Is(err, dane.ErrMismatch) {
		r = appliance.Replyf(451, 7, 5, "The certificate of %s is not what its DANE records (TLSA) say", c.target.Name)
	}
	// An alert about a certificate is about that of the client.
	if why, _ := alert(err); strings.Contains(why, "certificate") {
		r = appliance.Replyf(451, 7, 5, "%s does not accept our client certificate", c.target.Name)
		if c.pool.cfg.ClientCertificate == nil {
			r = appliance.Replyf(451, 7, 5, "%s wants a client certificate, and we have none to show", c.target.Name)
		}
	}
	c.report(ctx, err)
	f := c.fail(r.With(err))
	f.handshake = !errors.Is(context.Cause(ctx), context.Canceled)
	return f
}

// describeTLS is the TLS of a Result: "TLS 1.3, verified (mta-sts)".
func (c *conn) describeTLS() string {
	if c.tls == nil {
		return ""
	}
	how := "unverified"
	if c.verified() {
		how = "verified" + c.target.Policy.suffix()
	}
	return tls.VersionName(c.tls.Version) + ", " + how
}

// verified says that the server has proved who it is.
func (c *conn) verified() bool { return c.tls != nil && c.target.TLS.Verifies() }
