package mx

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	stscache "github.com/waxwing-mail/waxwing/modules/internal/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/internal/tlsrpt"
)

// TLSReports is a tls_reports block.
type TLSReports struct {
	// The author of the reports, and whom receivers ask about them:
	// "postmaster@example.com". A signer of a pipeline must be responsible for its
	// domain, as reports that are not signed are not accepted.
	From string `hcl:"from"`
	// Who you are, for people: "Example Ltd." Default: the domain of from.
	Organization string `hcl:"organization,optional"`
}

// maxOrganization bounds TLSReports.Organization, in octets.
const maxOrganization = 200

func (t *TLSReports) validate() error {
	if t == nil {
		return nil
	}
	from, err := appliance.ParseMailbox(t.From)
	if err != nil || from.Domain == "" || strings.HasPrefix(from.Domain, "[") || !from.IsASCII() {
		return &appliance.AttrError{Attr: "tls_reports.from", Msg: fmt.Sprintf("%q: write an address such as postmaster@example.com", t.From)}
	}
	if len(t.Organization) > maxOrganization || strings.ContainsFunc(t.Organization, unicode.IsControl) {
		return &appliance.AttrError{Attr: "tls_reports.organization", Msg: fmt.Sprintf("must be one line of at most %d octets", maxOrganization)}
	}
	return nil
}

// newReporter returns who counts and reports; nil if nobody wants that.
func (m *MX) newReporter(ctx *appliance.Context) (*tlsrpt.Reporter, error) {
	if m.TLSReports == nil || ctx.Values == nil {
		return nil, nil
	}
	from, err := appliance.ParseMailbox(m.TLSReports.From)
	if err != nil {
		return nil, err
	}
	up := &tlsrpt.Uploader{Dial: m.dialPolicyHost, Roots: m.roots}
	return tlsrpt.New(tlsrpt.Config{
		Organization: cmp.Or(m.TLSReports.Organization, from.Domain),
		From:         from, Instance: ctx.Addr.Name,
		Values: ctx.Values, Resolver: m.resolver, Post: ctx.Post, Upload: up.Upload, Log: m.log, Metrics: ctx.Metrics,
	}), nil
}

var _ appliance.TLSReporter = (*MX)(nil)

// CollectedTLS implements appliance.TLSReporter.
func (m *MX) CollectedTLS(ctx context.Context, want appliance.TLSReportFilter) (appliance.TLSReportList, error) {
	if m.reporter == nil {
		return appliance.TLSReportList{}, appliance.ErrNoTLSReports
	}
	return m.reporter.Collected(ctx, want)
}

// destinationKey is the key of a *destination in the context of an attempt,
// where the observer of its connections finds it.
type destinationKey struct{}

// reportSession counts a connection for the report to the domain.
func (m *MX) reportSession(ctx context.Context, r smtpconn.TLSReport, met bool) {
	d, ok := ctx.Value(destinationKey{}).(*destination)
	if !ok || m.reporter == nil || d.silent {
		return
	}
	policy, unmet := d.applied(r.Target)
	switch {
	case !met:
		unmet = cmp.Or(r.Reason(), smtpconn.ValidationFailure)
	case unmet == "":
		m.reporter.Record(d.domain, policy, nil)
		return
	}
	f := &tlsrpt.Failure{Type: unmet, Host: r.Target.Name, IP: r.Target.Addr.Addr().String(), SendingIP: public(r.Local)}
	if !met && unmet == smtpconn.ValidationFailure {
		f.Reason = innermost(r.Err)
	}
	m.reporter.Record(d.domain, policy, f)
}

// reportFailure counts what kept us from a connection to a host.
func (m *MX) reportFailure(d *destination, p tlsrpt.Policy, result, host string) {
	if m.reporter != nil && !d.silent {
		m.reporter.Record(d.domain, p, &tlsrpt.Failure{Type: result, Host: host})
	}
}

// applied is the policy of a connection. unmet is what is wrong although the
// server was all that was demanded: with the policy itself, or with a host
// that one in testing does not name.
func (d *destination) applied(t smtpconn.Target) (p tlsrpt.Policy, unmet string) {
	switch t.Policy {
	case smtpconn.PolicyDANE:
		if t.TLS != smtpconn.TLSDANE {
			unmet = tlsrpt.TLSAInvalid
		}
		return tlsrpt.Policy{Type: tlsrpt.TypeTLSA, Domain: cmp.Or(t.ServerName, t.Name), String: t.DANE.Records()}, unmet
	case smtpconn.PolicySTS, smtpconn.PolicyTesting:
		if known := d.sts.Policy; known != nil && !known.Matches(t.Name) {
			unmet = smtpconn.ValidationFailure
		}
		return d.stsPolicy(), unmet
	}
	if d.sts.Policy == nil {
		if unmet = stsFailure(d.sts.Err); unmet != "" {
			return d.stsPolicy(), unmet
		}
	}
	return tlsrpt.Policy{Type: tlsrpt.TypeNone, Domain: d.domain}, ""
}

// stsPolicy is the MTA-STS policy of the domain, without its lines if it could
// not be had.
func (d *destination) stsPolicy() tlsrpt.Policy {
	p := tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: d.domain}
	if known := d.sts.Policy; known != nil {
		p.MX = known.MX
		p.String = append(p.String, "version: STSv1", "mode: "+string(known.Mode))
		for _, mx := range known.MX {
			p.String = append(p.String, "mx: "+mx)
		}
		p.String = append(p.String, fmt.Sprintf("max_age: %d", known.MaxAge/time.Second))
	}
	return p
}

// stsFailure is the name of why a policy could not be had (RFC 8460, section
// 4.3.2.2); "" if there is none to be had.
func stsFailure(err error) string {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, mtasts.ErrPolicy):
		return tlsrpt.STSPolicyInvalid
	case errors.Is(err, stscache.ErrFetch) && certificate:
		return tlsrpt.STSWebPKIInvalid
	case errors.Is(err, stscache.ErrFetch):
		return tlsrpt.STSPolicyFetchError
	}
	return ""
}

// public is our address as the receiver sees it. A private one is translated
// on the way, and nobody's business.
func public(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || contains(special, ip) {
		return ""
	}
	return ip.String()
}

// innermost is the end of a chain of errors: what happened, without the
// addresses and ports that are different each time.
func innermost(err error) string {
	if err == nil {
		return ""
	}
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err.Error()
}

// waivesTLS says that a message is to arrive rather than to be protected: by
// "TLS-Required: No" (RFC 8689, section 3), policies of the receiver such as DANE
// and MTA-STS are not followed. REQUIRETLS of the envelope wins.
func waivesTLS(env *appliance.Envelope, h *appliance.Header) bool {
	return !env.RequireTLS && h.Count("TLS-Required") == 1 && strings.EqualFold(h.Get("TLS-Required"), "No")
}
