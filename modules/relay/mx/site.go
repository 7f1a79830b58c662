package mx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

var _ appliance.SitedRelay = (*MX)(nil)

// maxSiteName bounds the name of a site, in octets.
const maxSiteName = 120

// Site implements [appliance.SitedRelay]: domains with the same set of mail
// exchangers are one site, and so is everything that a provider serves,
// whatever its exchangers are called.
func (m *MX) Site(ctx context.Context, nextHop string) (appliance.Site, error) {
	hosts, err := m.siteHosts(ctx, nextHop)
	if err != nil {
		return appliance.Site{}, err
	}
	p := m.providers.ofAll(hosts)
	site := appliance.Site{
		Name:   p.Label,
		Limits: appliance.SiteLimits{Connections: p.Connections, Rate: slower(p.Rate, m.warmup.rate(time.Now()))},
		Relay:  m.Limits(),
	}
	if p == &m.providers.other {
		site.Name = siteName(hosts)
	}
	return site, nil
}

// siteHosts are the names of the mail exchangers of a domain, sorted. A domain
// without any, and an address, stand for themselves; so does one that takes no
// mail, which its first attempt finds out.
func (m *MX) siteHosts(ctx context.Context, domain string) ([]string, error) {
	if domain == "" || strings.HasPrefix(domain, "[") {
		return []string{domain}, nil
	}
	records, err := m.resolver.LookupMX(ctx, domain+".")
	if err != nil && len(records) == 0 && !notFound(err) {
		return nil, err
	}
	list, _ := exchangers(records)
	if len(list) == 0 {
		return []string{domain}, nil
	}
	names := make([]string, len(list))
	for i, x := range list {
		names[i] = x.name
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// siteName names a set of hosts: by all of them, or, if that is long, by the
// first one and a hash of all.
func siteName(hosts []string) string {
	name := strings.Join(hosts, ",")
	if len(name) <= maxSiteName || len(hosts) == 1 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%s,+%d-%s", hosts[0], len(hosts)-1, hex.EncodeToString(sum[:6]))
}

// usualMode is what TLS must be like at a mail exchanger if nobody demands
// more: that of the relay, unless its provider has TLS without fail.
func (m *MX) usualMode(host string) smtpconn.TLSMode {
	if m.mode == smtpconn.TLSOpportunistic && m.providers.of(host).TLS == string(smtpconn.TLSRequired) {
		return smtpconn.TLSRequired
	}
	return m.mode
}

// maxMessages is how many messages one connection to a mail exchanger takes, 0
// if nothing is known about it.
func (m *MX) maxMessages(host string) int { return m.providers.of(host).MessagesPerConnection }
