package mx

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
)

// querier makes a Querier of any Resolver. The one of the appliance is one
// already.
func querier(r appliance.Resolver) appliance.Querier {
	if q, ok := r.(appliance.Querier); ok {
		return q
	}
	return unsigned{r}
}

// unsigned is a Querier that knows nothing of DNSSEC.
type unsigned struct{ appliance.Resolver }

var (
	errUnsigned = errors.New("the resolver says nothing about DNSSEC")
	errType     = errors.New("cannot be asked of this resolver")
)

// DNSSEC implements appliance.Querier.
func (unsigned) DNSSEC() error { return errUnsigned }

// Query implements appliance.Querier.
func (u unsigned) Query(ctx context.Context, typ appliance.QueryType, name string) (a appliance.DNSAnswer, err error) {
	switch typ {
	case appliance.QueryMX:
		a.MX, err = u.LookupMX(ctx, name)
	case appliance.QueryA:
		a.Addrs, err = u.LookupNetIP(ctx, "ip4", name)
	case appliance.QueryAAAA:
		a.Addrs, err = u.LookupNetIP(ctx, "ip6", name)
	default:
		err = fmt.Errorf("%s %w", cmp.Or(string(typ), "no type"), errType)
	}
	return a, err
}
