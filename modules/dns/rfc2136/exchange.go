package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A key is what server and client share.
type key struct {
	name      string // with the final dot
	algorithm string // as RFC 8945 names it, with the final dot
	secret    appliance.Secret
}

// fudge is how far the clocks may be apart (RFC 8945, section 10), in seconds.
const fudge = 300

// maxAddresses bounds the addresses of the name server that are tried.
const maxAddresses = 8

// An rcodeError is an answer that says no.
type rcodeError struct {
	rcode int
	text  string
}

func (e *rcodeError) Error() string { return e.text }

// exchange sends a signed message and returns the answer, whose signature is
// right and which says that all is well.
func (p *RFC2136) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	m.SetTsig(p.key.name, p.key.algorithm, fudge, time.Now().Unix())
	conn := &dns.Conn{Conn: c, TsigSecret: map[string]string{p.key.name: p.key.secret.Reveal()}}
	if err := conn.WriteMsg(m); err != nil {
		return nil, p.failed(ctx, err)
	}
	answer, err := conn.ReadMsg()
	if answer == nil {
		return nil, p.failed(ctx, err)
	}
	if err := p.judge(m, answer, err); err != nil {
		return nil, fmt.Errorf("name server %s: %w", p.server, err)
	}
	return answer, nil
}

// judge says what an answer means. broken is what is wrong with it, or with
// its signature.
func (p *RFC2136) judge(m, answer *dns.Msg, broken error) error {
	signature := answer.IsTsig()
	if signature != nil && signature.Error != 0 {
		return &rcodeError{dns.RcodeNotAuth, p.refusedKey(signature)}
	}
	switch {
	case answer.Id != m.Id || !answer.Response || answer.Opcode != m.Opcode:
		return errors.New("answers something else than it was asked")
	case answer.Rcode == dns.RcodeNotAuth: // the library verifies no such answer
		return &rcodeError{answer.Rcode, p.refusal(m, answer.Rcode)}
	case errors.Is(broken, dns.ErrTime):
		return errors.New("the time of its answer is more than 5 minutes off; set the clock, here or there")
	case broken != nil:
		return fmt.Errorf("its answer is not signed with the key %s as we have it: %w", p.key.name, broken)
	// RFC 8945, section 5.3: a server that knows the key signs what it says.
	// One that does not may say so without a signature, and nothing else.
	case signature == nil && answer.Rcode == dns.RcodeSuccess:
		return errors.New("its answer is not signed, so that anybody could have sent it")
	case answer.Rcode != dns.RcodeSuccess:
		return &rcodeError{answer.Rcode, p.refusal(m, answer.Rcode)}
	}
	return nil
}

// refusedKey has the words for the errors of RFC 8945, section 3.
func (p *RFC2136) refusedKey(signature *dns.TSIG) string {
	switch signature.Error {
	case dns.RcodeBadKey:
		// Knot says this of a key, too, that it knows and that no rule is for.
		return fmt.Sprintf("it has no key %s for %s, or no rule that lets this key make the change (BADKEY); compare key_name and algorithm with its configuration, then what the key may do",
			p.key.name, p.key.algorithm)
	case dns.RcodeBadSig:
		return fmt.Sprintf("its key %s is another one (BADSIG); compare key with its configuration", p.key.name)
	case dns.RcodeBadTime:
		return "its clock and ours are more than 5 minutes apart (BADTIME); set the clock, here or there"
	case dns.RcodeBadTrunc:
		return "it wants a longer signature (BADTRUNC); make a key for another algorithm"
	}
	return fmt.Sprintf("it refuses the signature (TSIG error %d)", signature.Error)
}

// refusal has the words for the response codes of RFC 2136, section 2.2.
func (p *RFC2136) refusal(m *dns.Msg, rcode int) string {
	zone := m.Question[0].Name
	switch rcode {
	case dns.RcodeNotAuth:
		return fmt.Sprintf("it is not the primary server of the zone %s, or does not know the key %s (NOTAUTH); compare zone and key_name with its configuration", zone, p.key.name)
	case dns.RcodeRefused:
		return fmt.Sprintf("its policy does not allow the key %s to do this in %s (REFUSED); allow updates of these names and types", p.key.name, zone)
	case dns.RcodeYXRrset:
		return "there is a CNAME at the name, so that a record cannot be added to it (YXRRSET); change the records at the name that it points to"
	case dns.RcodeNotZone:
		return fmt.Sprintf("the name is not in the zone %s (NOTZONE)", zone)
	case dns.RcodeNotImplemented:
		return "it does not take updates (NOTIMP); it needs a primary server that does"
	case dns.RcodeServerFailure:
		return "it failed to carry out the update (SERVFAIL); its log says why, such as a zone file that it must not write"
	case dns.RcodeFormatError:
		return "it does not understand the update (FORMERR)"
	}
	return fmt.Sprintf("it answers %s", rcodeName(rcode))
}

func rcodeName(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("with the unknown code %d", rcode)
}

// failed is the error of a server that could not be reached or did not
// answer.
func (p *RFC2136) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("name server %s: %w", p.server, err)
}

// dial connects to the first address of the server that answers.
func (p *RFC2136) dial(ctx context.Context) (net.Conn, error) {
	ips, err := p.lookup(ctx)
	if err != nil {
		return nil, err
	}
	var all []error
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(ip.Unmap().String(), p.server.port))
		if err == nil {
			return c, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

func (p *RFC2136) lookup(ctx context.Context) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(p.server.host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ips, err := p.resolver.LookupNetIP(ctx, "ip", p.server.host)
	if err == nil && len(ips) == 0 {
		err = errors.New("no address")
	}
	return ips, err
}
