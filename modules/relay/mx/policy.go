package mx

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/dane"
	stscache "github.com/waxwing-mail/waxwing/modules/internal/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/internal/tlsrpt"
)

// A demand is what TLS must be like for one mail exchanger, and who wants that.
type demand struct {
	mode   smtpconn.TLSMode
	policy smtpconn.Policy // "" is our own configuration
	set    dane.Set
	base   string // TLSA base domain, for mode "dane"
	// known says that the name of the mail exchanger is not the word of an
	// attacker: DNSSEC or MTA-STS vouches for it. Together with a mode that
	// verifies it is what REQUIRETLS asks for (RFC 8689, section 4.2.1).
	known bool
}

// A destination is the domain of an attempt and what is known of it.
type destination struct {
	domain     string
	site       string // "" if it makes no difference
	refused    bool   // an address of ours, in this attempt
	requireTLS bool   // REQUIRETLS (RFC 8689)
	waived     bool   // "TLS-Required: No": DANE and MTA-STS are not followed
	silent     bool   // what TLS comes to is not reported
	looked     bool   // sts is known
	sts        stscache.Answer
}

// destination is what is known of the domain before anything is looked up.
func (m *MX) destination(env *appliance.Envelope, msg *appliance.Message) *destination {
	d := &destination{
		domain:     env.Recipients[0].Mailbox.Domain,
		requireTLS: env.RequireTLS,
		waived:     waivesTLS(env, &msg.Header),
	}
	// Where we do not ask for the policies of a domain we cannot say which it
	// has. Reports about the delivery of reports would never end.
	ours := m.override(d.domain).mode
	d.silent = d.waived || ours != "" && ours != daneOnly || tlsrpt.IsReport(&msg.Header)
	return d
}

// What is said when no policy can be met.
const (
	textNoDANE   = "%s has no DANE records (TLSA) that can be used, and nothing less may be used for this domain"
	textTLSA     = "The DANE records (TLSA) of %s cannot be looked up, so that its certificate cannot be known"
	textPolicy   = "Whether the recipient's domain has an MTA-STS policy cannot be found out at the moment"
	textUnlisted = "%s is not a mail exchanger by the MTA-STS policy of the recipient's domain"
)

// demands decides what TLS must be like for a host: as the administrator says
// for the domain, as DANE says, as MTA-STS says, or as the relay is set up. A
// message that waives TLS is not held to what the domain says. The failure is
// why nothing may be sent to the host now.
func (m *MX) demands(ctx context.Context, d *destination, h host) (demand, *smtpconn.Failure) {
	own := demand{mode: m.usualMode(h.name), known: h.known}
	switch override := m.override(d.domain).mode; {
	case override == daneOnly:
		return m.onlyDANE(ctx, d, h)
	case override != "":
		return demand{mode: override, known: h.known}, nil
	case m.mode == smtpconn.TLSNone || h.literal || d.waived:
		return own, nil
	}
	if m.TLSDowngrade == downgradeDefer && own.mode == smtpconn.TLSOpportunistic && m.memory.wasGenuine(h.name, time.Now()) {
		own.mode, own.policy = smtpconn.TLSRequired, smtpconn.PolicyMemory
	}
	if m.DANE {
		found, failure := m.byDANE(ctx, d, h)
		if failure != nil || found.mode == smtpconn.TLSDANE {
			return found, failure
		}
		if found.policy != "" {
			own = found // TLS with any certificate: whose it is, MTA-STS may know
		}
	}
	if m.MTASTS {
		found, failure := m.bySTS(ctx, d, h, own.mode)
		if failure != nil || found.policy == smtpconn.PolicySTS || found.policy != "" && own.policy != smtpconn.PolicyDANE {
			return found, failure
		}
	}
	return own, nil
}

func (m *MX) onlyDANE(ctx context.Context, d *destination, h host) (demand, *smtpconn.Failure) {
	found, failure := m.byDANE(ctx, d, h)
	if failure == nil && found.mode != smtpconn.TLSDANE {
		m.count(labelConfigured, tlsrpt.DANERequired)
		m.reportFailure(d, tlsrpt.Policy{Type: tlsrpt.TypeNone, Domain: d.domain}, tlsrpt.DANERequired, h.name)
		failure = smtpconn.NewFailure(h.name, appliance.Replyf(451, 7, 5, textNoDANE, h.name))
	}
	return found, failure
}

// stricter returns the one of two modes that demands more.
func stricter(a, b smtpconn.TLSMode) smtpconn.TLSMode {
	if a.Verifies() {
		return a
	}
	return b
}

// bySTS holds a host against the MTA-STS policy of the domain. A policy that is
// being tested demands no more than own.
func (m *MX) bySTS(ctx context.Context, d *destination, h host, own smtpconn.TLSMode) (demand, *smtpconn.Failure) {
	if !d.looked {
		sts, err := m.policies.Policy(ctx, d.domain)
		if err != nil {
			return demand{}, smtpconn.NewFailure(h.name, appliance.NewReply(451, 3, 0, textPolicy).With(err))
		}
		d.sts, d.looked = sts, true
	}
	p := d.sts.Policy
	if p == nil || p.Mode == mtasts.None {
		return demand{}, nil
	}
	listed := p.Matches(h.name)
	if !listed {
		m.count(stsLabel(p.Mode), smtpconn.ValidationFailure)
	}
	switch {
	case p.Mode == mtasts.Testing && !listed:
		m.log.Info("MTA-STS, testing: the policy does not name this mail exchanger", zap.String("domain", d.domain), zap.String("host", h.name))
		fallthrough
	case p.Mode == mtasts.Testing:
		return demand{mode: own, policy: smtpconn.PolicyTesting, known: h.known}, nil
	case !listed:
		// RFC 8461, section 5: "MUST NOT deliver the message to hosts that
		// fail MX matching".
		m.reportFailure(d, d.stsPolicy(), smtpconn.ValidationFailure, h.name)
		return demand{}, smtpconn.NewFailure(h.name, appliance.Replyf(451, 7, 5, textUnlisted, h.name))
	}
	return demand{mode: smtpconn.TLSVerified, policy: smtpconn.PolicySTS, known: true}, nil
}

func stsLabel(mode mtasts.Mode) string {
	if mode == mtasts.Testing {
		return string(smtpconn.PolicyTesting)
	}
	return string(smtpconn.PolicySTS)
}

// assured raises a demand to what REQUIRETLS wants. RFC 8689, section 4.2.1:
// the name of the host by DNSSEC or MTA-STS, its certificate by an authority
// or DANE. What cannot be promised is not tried.
func assured(h host, d demand) (demand, *smtpconn.Failure) {
	if !d.known {
		return d, smtpconn.NewFailure(h.name, errRequireTLS)
	}
	if d.mode != smtpconn.TLSDANE {
		d.mode = smtpconn.TLSVerified
	}
	return d, nil
}
