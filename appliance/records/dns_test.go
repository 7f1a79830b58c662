package records

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A zones is a DNS of two name servers, by "TXT example.com" and the values of
// the records, a line each. What stands under "ns2 TXT example.com" is what the
// second one says instead.
type zones map[string]string

const (
	silent  = "silent"  // the server does not answer
	nowhere = "nowhere" // there is no zone
)

func (z zones) AskAuthority(_ context.Context, typ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	a := appliance.AuthorityAnswer{Zone: "example.com", Name: name}
	key := string(typ) + " " + name
	if z[key] == nowhere {
		return a, &net.DNSError{Err: "no zone has this name", Name: name, IsNotFound: true}
	}
	for i, server := range []string{"ns1", "ns2"} {
		text, ok := z[server+" "+key]
		if !ok {
			text = z[key]
		}
		answer, err := answerOf(typ, name, text)
		a.Servers = append(a.Servers, appliance.ServerAnswer{
			Server: server + ".example.com", Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(53 + i)}), 53),
			Answer: answer, Err: err,
		})
	}
	return a, nil
}

func answerOf(typ appliance.QueryType, name, text string) (a appliance.DNSAnswer, err error) {
	switch text {
	case "":
		return a, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case silent:
		return a, &net.DNSError{Err: "i/o timeout", Name: name, IsTemporary: true, IsTimeout: true}
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch typ {
		case appliance.QueryA, appliance.QueryAAAA:
			a.Addrs = append(a.Addrs, netip.MustParseAddr(line))
		case appliance.QueryMX:
			m := new(net.MX)
			if _, err := fmt.Sscan(line, &m.Pref, &m.Host); err != nil {
				return a, err
			}
			a.MX = append(a.MX, m)
		case appliance.QueryTLSA:
			var t appliance.TLSA
			if _, err := fmt.Sscanf(line, "%d %d %d %x", &t.Usage, &t.Selector, &t.MatchingType, &t.Data); err != nil {
				return a, err
			}
			a.TLSA = append(a.TLSA, t)
		default:
			a.Texts = append(a.Texts, line)
		}
	}
	return a, nil
}

func (z zones) ask(typ appliance.QueryType, name string) (appliance.DNSAnswer, error) {
	return answerOf(typ, bare(name), z[string(typ)+" "+bare(name)])
}

// Query is the rest of appliance.Querier.
func (z zones) Query(_ context.Context, typ appliance.QueryType, name string) (appliance.DNSAnswer, error) {
	return z.ask(typ, name)
}

func (zones) DNSSEC() error { return errors.New("not validated") }

func (z zones) LookupTXT(_ context.Context, name string) ([]string, error) {
	a, err := z.ask(appliance.QueryTXT, name)
	return a.Texts, err
}

func (z zones) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	a, err := z.ask(appliance.QueryMX, name)
	return a.MX, err
}

func (z zones) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	four, err := z.ask(appliance.QueryA, name)
	six, err6 := z.ask(appliance.QueryAAAA, name)
	if err != nil && err6 != nil {
		return nil, err
	}
	return slices.Concat(four.Addrs, six.Addrs), nil
}

func (zones) LookupAddr(context.Context, string) ([]string, error) {
	return nil, errors.New("not asked")
}
