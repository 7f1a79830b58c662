package smtpconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// A Policy is who demands of a server what Target.TLS says. The zero Policy is
// our own configuration.
type Policy string

// The policies of others.
const (
	PolicyDANE    Policy = "dane"            // TLSA records (RFC 7672)
	PolicySTS     Policy = "mta-sts"         // an enforced policy of the domain (RFC 8461)
	PolicyTesting Policy = "mta-sts-testing" // one that only wants to be told; it demands nothing
	PolicyMemory  Policy = "memory"          // what the server was capable of before
)

// demand is the reason in "the server offers no TLS, and …".
func (p Policy) demand() string {
	switch p {
	case PolicyDANE:
		return "its DANE records (TLSA) demand TLS"
	case PolicySTS:
		return "the MTA-STS policy of the recipient's domain demands TLS"
	case PolicyMemory:
		return "it always had TLS with a valid certificate before: somebody may be interfering"
	}
	return "TLS is required"
}

// because is the end of "the certificate is not valid".
func (p Policy) because() string {
	if p == PolicySTS {
		return ", as the MTA-STS policy of the recipient's domain demands"
	}
	return ""
}

// suffix is what a Result says of it.
func (p Policy) suffix() string {
	if p == PolicyDANE || p == PolicySTS {
		return " (" + string(p) + ")"
	}
	return ""
}

// problem says what is wrong with a certificate, for people.
func problem(err error) string {
	switch reason(err) {
	case CertificateExpired:
		return ": it has expired, or is not valid yet"
	case CertificateHostMismatch:
		return ": it is for other names"
	case CertificateNotTrusted:
		return ": its authority is not known"
	}
	return ""
}

// A TLSReport is what a new connection has shown of a server's TLS.
type TLSReport struct {
	Target      Target
	Local       net.Addr // our end of the connection
	Established bool     // there is TLS
	// Err is why there is no TLS, or what is wrong with the certificate,
	// whether or not a valid one was demanded. It is nil if the certificate is
	// the one of Target.DANE, or else valid for the name of the server.
	Err error
}

// ErrNoTLS means that a server does not offer STARTTLS, or refused it.
var ErrNoTLS = errors.New("no STARTTLS")

// Reasons, by the names of RFC 8460, section 4.3.
const (
	StartTLSNotSupported    = "starttls-not-supported"
	CertificateHostMismatch = "certificate-host-mismatch"
	CertificateExpired      = "certificate-expired"
	CertificateNotTrusted   = "certificate-not-trusted"
	ValidationFailure       = "validation-failure" // anything else
)

// Reason is Err as a word of RFC 8460, section 4.3; "" if Err is nil.
func (r *TLSReport) Reason() string { return reason(r.Err) }

// Met says that the server was what Target.TLS demands.
func (r *TLSReport) Met() bool {
	return r.Established && (r.Err == nil || !r.Target.TLS.Verifies())
}

func reason(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return CertificateExpired
	}
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, stranger := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNoTLS):
		return StartTLSNotSupported
	case otherName:
		return CertificateHostMismatch
	case stranger:
		return CertificateNotTrusted
	}
	return ValidationFailure
}

// report tells the observer how far the connection came with TLS. An end that
// is our own doing says nothing about the server.
func (c *conn) report(ctx context.Context, err error) {
	observe := c.pool.cfg.Observe
	if observe == nil || errors.Is(err, context.Canceled) {
		return
	}
	r := TLSReport{Target: c.target, Local: c.raw.LocalAddr(), Established: err == nil, Err: err}
	if err == nil && !c.target.TLS.Verifies() {
		r.Err = c.judge()
	}
	observe(ctx, r)
}

// judge says what is wrong with a certificate that nobody verifies.
func (c *conn) judge() error {
	chain := c.tls.PeerCertificates
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	opts := x509.VerifyOptions{
		DNSName: cmp.Or(c.target.ServerName, c.target.Name), Roots: c.pool.tls.RootCAs, Intermediates: x509.NewCertPool(),
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(opts)
	return err
}

// verifyDANE is for [tls.Config.VerifyConnection], which is asked when a
// session is resumed, too.
func (c *conn) verifyDANE(cs tls.ConnectionState) error {
	return c.target.DANE.Verify(cs.PeerCertificates, time.Now())
}
