package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// hosted is a resolver on a machine whose /etc/hosts has its own name.
type hosted struct{ *authoritative }

func (h hosted) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if host == "mail.example.com." {
		return []netip.Addr{netip.MustParseAddr("127.0.1.1")}, nil
	}
	return h.authoritative.LookupNetIP(ctx, network, host)
}

// TestNamesAreThoseOfTheWorld: what this machine calls itself in its hosts file
// is nothing that receivers see.
func TestNamesAreThoseOfTheWorld(t *testing.T) {
	_, r := serve(t, wellZone)
	w := newWorld(t, hosted{r})
	groups, err := Select(w.Groups(), []string{"names"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Run(t.Context(), groups)[0].Parts {
		if f.Status != appliance.FoundOK {
			t.Errorf("%+v", f)
		}
	}
}

// counted counts the names of a victim whose addresses are asked for.
type counted struct {
	*zoneResolver
	names map[string]bool
}

func (c *counted) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if strings.HasSuffix(host, ".victim.test.") {
		c.names[host] = true
	}
	return c.zoneResolver.LookupNetIP(ctx, network, host)
}

// TestPTRWithManyNames: who owns the reverse zone does not decide how much is
// asked for.
func TestPTRWithManyNames(t *testing.T) {
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, "5.113.0.203.in-addr.arpa. PTR h%d.victim.test.\n", i)
	}
	r := &counted{new(zoneResolver), make(map[string]bool)}
	r.load(t, changed(wellZone, lines.String()))
	f := newWorld(t, r).reverse(t.Context())
	if len(f) != 1 || f[0].Status != appliance.FoundFail || len(r.names) != maxNames {
		t.Errorf("%d names were asked for: %+v", len(r.names), f)
	}
}
