package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// certificates is about what clients, and servers that send to us, are shown.
func (s *Subject) certificates() Group {
	g := Group{Name: "certificates"}
	for _, c := range s.Certificates {
		name := c.Block + " " + strings.Join(c.Names, ", ")
		g.Examinations = append(g.Examinations, one(strings.TrimSpace(name), func(_ context.Context, name string) appliance.Finding {
			return s.certificate(name, &c)
		}))
	}
	if len(s.Certificates) > 0 && s.Healthy != nil {
		g.Examinations = append(g.Examinations, one("name in the certificate", s.named))
	}
	return g
}

func (s *Subject) certificate(name string, c *appliance.ServedCertificate) appliance.Finding {
	renew := fmt.Sprintf(`see what keeps it from being renewed; "waxwing tls renew %s" tries again now`, c.Block)
	if c.Type == "files" {
		renew = "renew it, and put the new files where the old ones are: they are taken without a reload"
	}
	why := ""
	if c.Error != "" {
		why = ": " + c.Error
	}
	switch c.State {
	case appliance.CertificatePending:
		return fail(name, "there is no certificate yet"+why, strings.Replace(renew, "being renewed", "coming", 1))
	case appliance.CertificateExpired:
		return fail(name, fmt.Sprintf("it is not valid now, but from %s to %s%s: clients refuse to log in", day(c.NotBefore), day(c.NotAfter), why), renew)
	case appliance.CertificateSelfSigned:
		return warn(name, "it is self-signed: clients that verify it refuse to log in, unless they were given it", `use a tls "acme" or tls "files" block`)
	}
	if c.Alarming(s.Now()) {
		return warn(name, fmt.Sprintf("it ends on %s%s", day(c.NotAfter), why), renew)
	}
	return ok(name, "valid until %s, by %s", day(c.NotAfter), c.Issuer)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// named looks whether the host name is in one of the certificates: clients
// that were told to use it will verify it.
func (s *Subject) named(_ context.Context, name string) appliance.Finding {
	host := s.Settings.Hostname
	var all []string
	coming := ""
	for _, c := range s.Certificates {
		all = append(all, c.Names...)
		switch covered := (&x509.Certificate{DNSNames: c.Names}).VerifyHostname(host) == nil; {
		case covered && c.State == appliance.CertificatePending:
			coming = c.Block
		case covered:
			return ok(name, "%s is in that of %s", host, c.Block)
		}
	}
	if coming != "" {
		return skipped(name, "%s will be in that of %s, which is not there yet", host, coming)
	}
	slices.Sort(all)
	return warn(name, fmt.Sprintf("%s is in no certificate; there are those for %s", host, strings.Join(slices.Compact(all), ", ")),
		"add "+host+" to the names of the tls block, or let clients connect to a name that is there")
}
