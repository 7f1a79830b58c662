package doctor

import (
	"context"
	"net/netip"
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
