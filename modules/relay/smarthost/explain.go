package smarthost

import (
	"context"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/hostaddr"
)

var _ appliance.Explainer = (*Smarthost)(nil)

// Explain implements appliance.Explainer: which servers, with how much TLS, and
// as whom.
func (s *Smarthost) Explain(ctx context.Context, q appliance.Question) []appliance.Answer {
	attr := "address"
	if s.Address == "" {
		attr = "addresses"
	}
	var all []appliance.Answer
	for _, e := range s.hosts {
		all = append(all, appliance.Answer{Topic: "server", Text: e.String() + s.found(ctx, q, e.host), Attr: attr})
		all = append(all, appliance.Answer{Topic: "TLS", Text: string(e.tls), Attr: "tls"})
	}
	switch {
	case s.Authenticate == external:
		all = append(all, appliance.Answer{Topic: "login", Text: "with the client certificate", Attr: "authenticate"})
	case s.Username != "":
		all = append(all, appliance.Answer{Topic: "login", Text: "as " + s.Username, Attr: "username"})
	default:
		all = append(all, appliance.Answer{Topic: "login", Text: "none", Attr: "username"})
	}
	return append(append(all, s.RelayLimits.Explain()...), s.Fallback.Explain()...)
}

// found is what the DNS says of a host, if it may be asked.
func (s *Smarthost) found(ctx context.Context, q appliance.Question, host string) string {
	if !q.DNS {
		return ""
	}
	ips, err := hostaddr.Lookup(ctx, s.resolver, host)
	if err != nil {
		return ": cannot be looked up: " + err.Error()
	}
	return fmt.Sprint(": ", ips)
}
