package dkim

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// A sight is what the name servers of a zone say of the record of a key.
type sight struct {
	zone, name string   // where the record is, or would be, after aliases
	ours       int      // servers that show the key
	holds      int      // servers that show it, whatever else there is
	without    []string // those that say that there is no such record
	other      []string // what others show in its place
	silent     []string // who could not be asked, and why
}

// everywhere says whether all servers show the key, and nothing else.
func (s *sight) everywhere() bool { return s.ours > 0 && s.ours == s.servers() }

// nowhere says whether all servers have been asked and none shows the key, not
// even beside others.
func (s *sight) nowhere() bool { return s.holds == 0 && len(s.silent) == 0 }

// absent says whether the servers that could be asked, one at least, say that
// there is no such record.
func (s *sight) absent() bool { return len(s.without) > 0 && s.ours == 0 && len(s.other) == 0 }

// lacks says whether a server certainly does not show the key.
func (s *sight) lacks() bool { return len(s.without) > 0 || len(s.other) > 0 }

func (s *sight) servers() int { return s.ours + len(s.without) + len(s.other) + len(s.silent) }

// String says what keeps the key from being shown everywhere.
func (s *sight) String() string {
	var all []string
	switch {
	case len(s.without) == s.servers():
		all = append(all, "no name server shows the record")
	case len(s.without) > 0 && s.ours > 0:
		all = append(all, some(s.without)+" without the record, which others show")
	case len(s.without) > 0:
		all = append(all, some(s.without)+" without the record")
	}
	all = append(all, clipped(s.other)...)
	all = append(all, clipped(s.silent)...)
	return strings.Join(all, "; ")
}

// most is how many servers are told of, of each kind.
const most = 3

func some(names []string) string { return strings.Join(clipped(names), ", ") }

func clipped(all []string) []string {
	if len(all) > most {
		return append(slices.Clone(all[:most]), fmt.Sprintf("%d more", len(all)-most))
	}
	return all
}

var errNoAuthority = errors.New("this resolver cannot ask the name servers of a zone themselves")

// look asks the name servers of a record, past all caches. It always returns
// something; who could not be found or asked is in silent.
func (d *DKIM) look(ctx context.Context, record string, pub crypto.PublicKey) *sight {
	authority, ok := d.resolver.(appliance.Authority)
	if !ok {
		return &sight{silent: []string{errNoAuthority.Error()}}
	}
	a, err := authority.AskAuthority(ctx, appliance.QueryTXT, record)
	if err != nil {
		return &sight{silent: []string{reason(err)}}
	}
	s := &sight{zone: a.Zone, name: a.Name}
	for i := range a.Servers {
		s.count(&a.Servers[i], pub)
	}
	if len(a.Servers) == 0 {
		s.silent = []string{a.Zone + " has no name servers"}
	}
	return s
}

func (s *sight) count(a *appliance.ServerAnswer, pub crypto.PublicKey) {
	gone, ok := errors.AsType[*net.DNSError](a.Err)
	switch {
	case ok && gone.IsNotFound, a.Err == nil && len(a.Answer.Texts) == 0:
		s.without = append(s.without, a.Server)
	case a.Err != nil:
		s.silent = append(s.silent, a.Server+" cannot be asked: "+reason(a.Err))
	default:
		if slices.ContainsFunc(a.Answer.Texts, func(text string) bool { return isOf(text, pub) }) {
			s.holds++
		}
		if problem := differs(a.Answer.Texts, pub); problem != "" {
			s.other = append(s.other, a.Server+": "+problem)
			return
		}
		s.ours++
	}
}

// isOf says whether a text is a record of the key, fit for use or not.
func isOf(text string, pub crypto.PublicKey) bool {
	r, err := dkimkey.Parse(text)
	key, ok := r.Key.(interface{ Equal(x crypto.PublicKey) bool })
	return err == nil && ok && key.Equal(pub)
}

// differs says why the texts at a name are not the record of a key that
// receivers would go by; "" if they are.
func differs(texts []string, pub crypto.PublicKey) string {
	r, err := dkimkey.Choose(texts)
	if err != nil {
		return err.Error()
	}
	for _, p := range r.Compare(pub) {
		// Receivers treat mail of a domain that tests as if it were not signed
		// (RFC 6376, section 3.6.1).
		if p.Severity == dkimkey.Fail || r.Testing() {
			return p.Text
		}
	}
	return ""
}

// reason is an error of the DNS without the name, which is told already.
func reason(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.Err
	}
	return err.Error()
}
