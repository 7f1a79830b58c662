package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A ServedCertificate is a certificate of the configuration that runs, and
// the block that keeps it.
type ServedCertificate struct {
	Block string `json:"block"` // "tls.letsencrypt"
	Type  string `json:"type"`  // "acme"
	CertificateInfo
}

// soon is how long before the end of a certificate somebody should know: who
// renews by itself has had two thirds of its life for it.
const soon = 14 * 24 * time.Hour

// Alarming says whether somebody should look after the certificate: there is
// none, it is not valid now, or it ends in less than 14 days, or than a third
// of its life, whichever is less.
func (c *CertificateInfo) Alarming(now time.Time) bool {
	switch {
	case c.State == CertificatePending, c.State == CertificateExpired:
		return true
	case c.NotAfter.IsZero():
		return false
	}
	return c.NotAfter.Sub(now) < min(soon, c.NotAfter.Sub(c.NotBefore)/3)
}

// Certificates lists what all tls blocks serve and wait for: the blocks in
// the order of the graph, of each its default first.
func (a *Appliance) Certificates() []ServedCertificate { return a.Graph().certificates() }

func (g *Graph) certificates() []ServedCertificate {
	var all []ServedCertificate
	for _, n := range g.of(KindTLS) {
		for _, c := range n.Module.(Certificates).Certificates() {
			all = append(all, ServedCertificate{n.Addr.String(), n.Type, c})
		}
	}
	return all
}

// RenewCertificate asks for a new certificate now, and returns what there is
// afterwards. name is one of the names of a certificate, or the address of a
// tls block, which stands for all its certificates, one after the other. It
// takes as long as the authority does; nothing but ctx bounds it, whose cause
// is then part of the error.
//
// The error is fs.ErrNotExist if no certificate is kept for the name, and
// errors.ErrUnsupported if none that is can be asked for: the text says who
// keeps it. Any other joins an [InstanceError] for each certificate that could
// not be renewed; what was served before goes on being served.
func (a *Appliance) RenewCertificate(ctx context.Context, name string) ([]ServedCertificate, error) {
	g := a.Graph()
	kept := g.keptFor(name)
	if len(kept) == 0 {
		return nil, g.keptForNobody(name)
	}
	asked := false
	var failed []error
	for _, c := range kept {
		n := g.keeper(c)
		r, ok := n.Module.(CertificateRenewer)
		if !ok || len(c.Names) == 0 {
			continue
		}
		asked = true
		err := r.Renew(ctx, c.Names[0])
		if err != nil {
			failed = append(failed, &InstanceError{n.Addr, fmt.Errorf("%s: %w", c.Names[0], err)})
		}
		if err != nil && ctx.Err() != nil {
			failed = append(failed, context.Cause(ctx))
			break
		}
	}
	if !asked {
		return kept, keptByOthers(name, kept)
	}
	return g.keptFor(name), errors.Join(failed...)
}

// keptFor returns the certificates that a person means by name.
func (g *Graph) keptFor(name string) []ServedCertificate {
	name = certificateName(name)
	return slices.DeleteFunc(g.certificates(), func(c ServedCertificate) bool {
		return c.Block != name && !slices.ContainsFunc(c.Names, func(n string) bool { return certificateName(n) == name })
	})
}

// keeper is the node of the module whose certificate c is.
func (g *Graph) keeper(c ServedCertificate) *Node {
	all := g.of(KindTLS)
	return all[slices.IndexFunc(all, func(n *Node) bool { return n.Addr.String() == c.Block })]
}

// certificateName is the one way to write what a certificate is asked for by:
// an IP address, a domain in lower case and A-labels, also behind a wildcard,
// or the address of a block.
func certificateName(s string) string {
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		return "*." + certificateName(rest)
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().String()
	}
	if d, err := ParseDomain(strings.TrimSuffix(s, ".")); err == nil {
		return d
	}
	return s
}

// A renewalError is a reason not to ask anybody for a certificate.
type renewalError struct {
	text string
	kind error
}

func (e *renewalError) Error() string { return e.text }
func (e *renewalError) Unwrap() error { return e.kind }

func (g *Graph) keptForNobody(name string) error {
	var names []string
	for _, c := range g.certificates() {
		for _, n := range append([]string{c.Block}, c.Names...) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	text := fmt.Sprintf("no certificate is kept for %q; there are %s", name, strings.Join(names, ", "))
	if len(names) == 0 {
		text = fmt.Sprintf("no certificate is kept for %q, nor for any other name: the configuration has no tls block", name)
	}
	return &renewalError{text, fs.ErrNotExist}
}

func keptByOthers(name string, kept []ServedCertificate) error {
	var keepers []string
	for _, c := range kept {
		if k := fmt.Sprintf("%s (type %s)", c.Block, c.Type); !slices.Contains(keepers, k) {
			keepers = append(keepers, k)
		}
	}
	text := fmt.Sprintf("%s is kept by %s, which cannot be asked for a new certificate: it takes one by itself as soon as there is one",
		name, strings.Join(keepers, " and "))
	if certificateName(name) == kept[0].Block {
		text = fmt.Sprintf("%s cannot be asked for new certificates: it takes them by itself as soon as there are any", keepers[0])
	}
	return &renewalError{text, errors.ErrUnsupported}
}
