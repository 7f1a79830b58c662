package selftest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Letter is a message that is about to leave, and what is known of its way.
type Letter struct {
	Envelope appliance.Envelope
	Message  appliance.Message // as it would go over the wire, signed
	SignedBy []string          // the domains that the signers say they have signed for
	Held     string            // why it would wait for a person before it leaves; ""
	Captured bool              // the server lets no mail leave
	Bulk     bool              // one of many that are alike, even if it does not say so

	// The addresses that the mail leaves from, as receivers see them; none is
	// that they are not known.
	Sources []Source
	// The smarthost that takes the mail, and the SPF records of its provider, if
	// that is known: what receivers see are its addresses. "" is none.
	Via      string
	Includes []string
	// How the mail is encrypted on its way to the next hop, in words; "" is not
	// known. It begins with "none" if it never is.
	TLS string
	// What a check-up says of the servers: their names, addresses, PTR records
	// and blocklists. [appliance.Finding.Record] says which of it.
	Server []appliance.Finding
	// The records that the signers of this server want in the DNS.
	Keys []appliance.DNSRecord

	Resolver appliance.Resolver
	Now      time.Time
}

// A Source is an address that mail leaves from.
type Source struct {
	Addr netip.Addr
	Name string // what the server calls itself from there (EHLO)
}

// judgeTime bounds all questions about one message.
const judgeTime = 40 * time.Second

type judge struct {
	*Letter
	facts
}

// Judge looks at a message as a receiver would. It always has an answer: what
// cannot be found out, or not before ctx ends, is not known.
func Judge(ctx context.Context, l *Letter) Report {
	ctx, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	j := &judge{Letter: l}
	signatures := j.signatures(ctx)
	r := Report{Message: Summarize(l.Envelope, &l.Message.Header)}
	r.Message.Size, r.Message.SignedBy, r.Message.Bulk = l.Message.Size(), l.SignedBy, j.isBulk()
	r.add("the server", j.serverItems())
	r.add("SPF", j.spfItems(ctx))
	r.add("DKIM", j.dkimItems(signatures))
	r.add("DMARC", j.dmarcItems(ctx, signatures))
	r.add("the header", j.headerItems(ctx))
	r.add("the content", j.contentItems())
	if r.Message.Bulk {
		r.add("bulk mail", j.bulkItems(signatures))
	}
	r.sum()
	j.decide(&r)
	return r
}

func (r *Report) add(name string, items []Item) {
	r.Groups = append(r.Groups, Group{name, items})
}

// Summarize says which message it is.
func Summarize(env appliance.Envelope, h *appliance.Header) Summary {
	s := Summary{From: env.From, Author: h.Get("From"), Subject: h.Get("Subject")}
	for i := range env.Recipients {
		s.To = append(s.To, env.Recipients[i].Mailbox)
	}
	return s
}

// authorDomain is the domain of the From field, "" if there is not one.
func (j *judge) authorDomain() string {
	authors, err := j.Message.Header.From()
	if err != nil || slices.ContainsFunc(authors, func(m appliance.Mailbox) bool { return m.Domain != authors[0].Domain }) {
		return ""
	}
	return authors[0].Domain
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

// join lists words for people.
func join(all []string) string { return strings.Join(all, ", ") }
