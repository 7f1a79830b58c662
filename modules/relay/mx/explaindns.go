package mx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// explainServers says what the DNS knows: the servers of a mailbox in the
// order in which they would be tried, and for each what TLS must be like. What
// is learned by delivering, and kept in the store, is not known here.
func (m *MX) explainServers(ctx context.Context, to appliance.Mailbox) []appliance.Answer {
	d := &destination{domain: to.Domain, silent: true}
	all, ok := m.explainSTS(ctx, d)
	if !ok {
		return all
	}
	for h, failure := range m.hosts(ctx, to) {
		if failure != nil {
			all = append(all, appliance.Answer{Topic: "server", Text: failure.Error()})
			continue
		}
		addrs := make([]string, len(h.addrs))
		for i, ip := range h.addrs {
			addrs[i] = ip.String()
		}
		all = append(all, appliance.Answer{Topic: "server", Text: fmt.Sprintf("%s, port %d: %s", h.name, m.Port, strings.Join(addrs, ", "))})
		if a, ok := m.explainDANE(ctx, d, h); ok {
			all = append(all, a)
		}
		all = append(all, m.explainDemand(ctx, d, h))
	}
	return all
}

// explainSTS finds the MTA-STS policy of the domain, as it is published now. It is
// false if nothing can be said of TLS without it.
func (m *MX) explainSTS(ctx context.Context, d *destination) ([]appliance.Answer, bool) {
	say := func(format string, args ...any) []appliance.Answer {
		return []appliance.Answer{{Topic: "MTA-STS", Text: fmt.Sprintf(format, args...), Attr: "mta_sts"}}
	}
	switch {
	case m.override(d.domain).mode != "" || m.mode == smtpconn.TLSNone || strings.HasPrefix(d.domain, "["):
		return nil, true // it is not asked for
	case !m.MTASTS:
		return say("is not used"), true
	}
	policies := m.newPolicies(nil) // that of the relay keeps what it finds in the store, which may not be open
	defer policies.Stop()
	sts, err := policies.Policy(ctx, d.domain)
	if err != nil {
		return say("cannot be looked up: %v", err), false
	}
	d.sts, d.looked = sts, true
	p := sts.Policy
	switch {
	case errors.Is(sts.Err, mtasts.ErrNoRecord):
		return say("the domain has no policy"), true
	case p == nil:
		return say("no policy is in force: %v", sts.Err), true
	}
	return say("%s, to be kept for %s: %s", p.Mode, appliance.FormatDuration(p.MaxAge), cmp.Or(strings.Join(p.MX, ", "), "no mail exchangers")), true
}

// explainDANE says what the TLSA records of a host are worth. It is false if
// they are not asked for.
func (m *MX) explainDANE(ctx context.Context, d *destination, h host) (a appliance.Answer, asked bool) {
	o := m.override(d.domain)
	a = appliance.Answer{Topic: "DANE", Attr: "dane"}
	switch {
	case o.mode == daneOnly:
		a.Attr = domainAttr(o)
	case o.mode != "" || m.mode == smtpconn.TLSNone || h.literal:
		return a, false
	case !m.DANE:
		a.Text = "is not used"
		return a, true
	}
	a.Text = h.name + ": " + m.daneWords(h, m.tlsa(ctx, d.domain, h))
	return a, true
}

func (m *MX) daneWords(h host, f tlsaFinding) string {
	if err := m.resolver.DNSSEC(); err != nil {
		return "nothing counts: " + err.Error()
	}
	switch {
	case !h.known:
		return "nothing counts: DNSSEC does not vouch for the MX records of the domain"
	case !h.secure:
		return "nothing counts: DNSSEC does not vouch for the addresses"
	}
	switch f.state {
	case tlsaLost:
		return fmt.Sprintf("the TLSA records of %s are bogus, or cannot be had: %v", f.base, f.err)
	case tlsaUsable:
		return fmt.Sprintf("%s at %s: %s", plural(len(f.set.Records()), "usable TLSA record"), f.base, f.set)
	case tlsaUnusable:
		return "there are TLSA records at " + f.base + ", and none of them can be used"
	}
	return "no TLSA records that DNSSEC vouches for"
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// explainDemand says what TLS comes to at a host, and who wants it.
func (m *MX) explainDemand(ctx context.Context, d *destination, h host) appliance.Answer {
	want, failure := m.demands(ctx, d, h)
	if failure != nil {
		return appliance.Answer{Topic: "TLS", Text: h.name + ": nothing is sent there now: " + failure.Error(), Attr: m.demandAttr(d, h, want)}
	}
	return appliance.Answer{Topic: "TLS", Text: h.name + ": " + modeWords[want.mode] + m.stsWords(d, h, want), Attr: m.demandAttr(d, h, want)}
}

// modeWords are the modes of TLS for people.
var modeWords = map[smtpconn.TLSMode]string{
	smtpconn.TLSNone:          "plain text, TLS is not used",
	smtpconn.TLSOpportunistic: "TLS with any certificate, plain text if that fails",
	smtpconn.TLSRequired:      "TLS with any certificate, or no delivery",
	smtpconn.TLSVerified:      "TLS with a valid certificate for this name, or no delivery",
	smtpconn.TLSDANE:          "TLS with a certificate of its TLSA records, or no delivery",
}

// stsWords says what MTA-STS has to do with that.
func (m *MX) stsWords(d *destination, h host, want demand) string {
	switch {
	case want.policy == smtpconn.PolicySTS:
		return "; the MTA-STS policy names it"
	case want.policy == smtpconn.PolicyTesting && d.sts.Policy.Matches(h.name):
		return "; the MTA-STS policy, which is being tested, names it"
	case want.policy == smtpconn.PolicyTesting:
		return "; the MTA-STS policy, which is being tested, does not name it"
	}
	return ""
}

// demandAttr is what in the file decided about TLS at a host.
func (m *MX) demandAttr(d *destination, h host, want demand) string {
	o := m.override(d.domain)
	switch {
	case o.mode != "":
		return domainAttr(o)
	case want.policy == smtpconn.PolicyDANE:
		return "dane"
	case want.policy == smtpconn.PolicySTS:
		return "mta_sts"
	case want.policy == smtpconn.PolicyMemory:
		return "tls_downgrade"
	case want.mode == smtpconn.TLSRequired && m.mode == smtpconn.TLSOpportunistic:
		return m.providerAttr(m.providers.of(h.name))
	case want.mode == "" && d.sts.Policy != nil && !d.sts.Policy.Matches(h.name):
		return "mta_sts" // a failure
	case want.mode == "":
		return "dane"
	}
	return "tls"
}

func domainAttr(o override) string { return fmt.Sprintf("domain.%d", o.number) }

// providerAttr is the block of a provider. Those that come with Waxwing, and
// everybody else, may have none: then it is "provider.0", which no file has.
func (m *MX) providerAttr(p *Provider) string {
	i := slices.IndexFunc(m.Providers, func(b Provider) bool { return strings.EqualFold(b.Label, p.Label) })
	return fmt.Sprintf("provider.%d", i+1)
}

// explainSite says with whom the domain shares limits, and which.
func (m *MX) explainSite(ctx context.Context, to appliance.Mailbox) appliance.Answer {
	hosts, err := m.siteHosts(ctx, m.NextHop(to))
	if err != nil {
		return appliance.Answer{Topic: "site", Text: "cannot be looked up: " + err.Error()}
	}
	p := m.providers.ofAll(hosts)
	name := "provider " + p.Label
	if p == &m.providers.other {
		name = siteName(hosts)
	}
	return appliance.Answer{Topic: "site", Text: name + ": " + p.limits(), Attr: m.providerAttr(p)}
}

// limits says what the servers of a provider take.
func (b *Provider) limits() string {
	var all []string
	if b.Connections > 0 {
		all = append(all, fmt.Sprintf("at most %d deliveries at a time", b.Connections))
	}
	if !b.Rate.IsZero() {
		all = append(all, b.Rate.String()+" messages")
	}
	if b.MessagesPerConnection > 0 {
		all = append(all, fmt.Sprintf("%d messages over one connection", b.MessagesPerConnection))
	}
	if len(all) == 0 {
		return "the limits of the queue, and none besides"
	}
	return strings.Join(all, ", ")
}
