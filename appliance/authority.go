package appliance

import (
	"context"
	"net/netip"
)

// An Authority asks the name servers of a zone themselves, past every cache:
// whether a record has been published is known when all of them say so, not
// when one cache does. The Resolver of a Context is one, unless a test has put
// another there: it is found by assertion.
type Authority interface {
	// AskAuthority asks every name server that the name is delegated to. An
	// alias is followed to the servers of its target. The error is a
	// *net.DNSError and says that the servers could not be found; what one of
	// them failed to answer is in its ServerAnswer.
	AskAuthority(ctx context.Context, typ QueryType, name string) (AuthorityAnswer, error)
}

// An AuthorityAnswer is what the name servers of a zone say of one name and
// type.
type AuthorityAnswer struct {
	Zone    string         // where the name was found, after aliases: lower case, no final dot
	Name    string         // the name that was found there, likewise
	Servers []ServerAnswer // at least one, sorted by name and address
}

// A ServerAnswer is what one name server says.
type ServerAnswer struct {
	Server string         // its name, lower case, no final dot
	Addr   netip.AddrPort // where it was asked; the zero value if it has no address
	Answer DNSAnswer      // never Secure: nobody has validated it
	Err    error          // a *net.DNSError as Querier has them
}
