package hostaddr

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// names is a resolver that has so many addresses for each name; below zero it
// fails.
type names struct {
	appliance.Resolver
	n map[string]int
}

var errDNS = errors.New("SERVFAIL")

func (r names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n := r.n[host]
	if n < 0 {
		return nil, errDNS
	}
	return make([]netip.Addr, n), nil
}

func TestLookup(t *testing.T) {
	r := names{n: map[string]int{"two.example": 2, "many.example": 50, "broken.example": -1}}
	for host, want := range map[string]int{
		"192.0.2.1": 1, "2001:db8::1": 1, "localhost": 2, "two.example": 2, "many.example": maxAddresses,
	} {
		if got, err := Lookup(t.Context(), r, host); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	if _, err := Lookup(t.Context(), r, "broken.example"); !errors.Is(err, errDNS) {
		t.Errorf("an error of the DNS: %v", err)
	}
	if _, err := Lookup(t.Context(), r, "none.example"); err == nil {
		t.Error("no address is no error")
	}
}
