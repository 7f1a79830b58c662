package mx

import (
	"context"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

var _ appliance.Explainer = (*MX)(nil)

// Explain implements appliance.Explainer: to which servers, over which address
// families, with how much TLS.
func (m *MX) Explain(ctx context.Context, q appliance.Question) []appliance.Answer {
	all := []appliance.Answer{
		m.explainTLS(q.To.Domain),
		{Topic: "families", Text: strings.Join(m.IPVersions, ", then "), Attr: "ip_versions"},
	}
	all = append(all, m.explainSources(ctx, q.DNS)...)
	all = append(all, m.RelayLimits.Explain()...)
	all = append(all, m.Fallback.Explain()...)
	if !q.DNS {
		return append(all, appliance.Answer{Topic: "servers", Text: "the mail exchangers of " + q.To.Domain + "; --dns looks them up"})
	}
	all = append(all, m.explainSite(ctx, q.To))
	return append(all, m.explainServers(ctx, q.To)...)
}

// explainTLS says who decides about TLS, as far as the file knows it.
func (m *MX) explainTLS(domain string) appliance.Answer {
	if o := m.override(domain); o.mode != "" {
		return appliance.Answer{Topic: "TLS", Text: string(o.mode) + ", whatever the domain says", Attr: domainAttr(o)}
	}
	text := m.TLS
	switch {
	case m.mode == smtpconn.TLSNone:
	case m.DANE && m.MTASTS:
		text += ", unless DANE or MTA-STS demands more"
	case m.DANE:
		text += ", unless DANE demands more"
	case m.MTASTS:
		text += ", unless MTA-STS demands more"
	}
	return appliance.Answer{Topic: "TLS", Text: text, Attr: "tls"}
}
