package records

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// DNS is whom Compare asks: the servers of the zones, and for the records of
// others, such as those that SPF includes, the resolver. A resolver.Resolver
// is one.
type DNS interface {
	appliance.Resolver
	appliance.Authority
}

// A State says how a record that is wanted stands.
type State string

// The states of a record.
const (
	Equal    State = "ok"       // it is there, in these words or others
	Missing  State = "missing"  // nothing is there
	Other    State = "other"    // something else is there
	Disagree State = "disagree" // not all servers say the same
	Unknown  State = "unknown"  // nobody could be asked
)

// A Difference is how a record that is wanted stands.
type Difference struct {
	Record
	State State `json:"state"`
	// What is there in its place, in the way of Value: the records of the same
	// kind, and not what else stands at the name.
	There []string `json:"there,omitempty"`
	// What has to be there instead: Value, or that merged with what is there; ""
	// if all is well, or if nobody here can say.
	Want    string   `json:"want,omitempty"`
	Text    string   `json:"text,omitempty"` // what is wrong, or good to know, and what to do: sentences
	Zone    string   `json:"zone,omitempty"` // where it was looked for, without the final dot
	At      string   `json:"at,omitempty"`   // the name there, if Name is an alias
	Servers []Server `json:"servers,omitempty"`
}

// OK says that nothing has to be done.
func (d *Difference) OK() bool { return d.State == Equal }

// A Server is what one name server says of a record.
type Server struct {
	Name    string   `json:"name"`
	Address string   `json:"address,omitempty"`
	State   State    `json:"state"`
	There   []string `json:"there,omitempty"`
	Text    string   `json:"text,omitempty"`
	want    string
	byHand  bool
}

// Limits of a comparison.
const (
	askTime = 20 * time.Second // for one record, at all servers
	atATime = 8                // records
)

// Compare asks the name servers about each record. There is one Difference for
// each, in their order; what could not be asked is Unknown.
func Compare(ctx context.Context, dns DNS, wanted []Record) []Difference {
	all := make([]Difference, len(wanted))
	free := make(chan struct{}, atATime)
	var asking sync.WaitGroup
	for i := range wanted {
		free <- struct{}{}
		asking.Go(func() {
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			all[i] = compare(ctx, dns, wanted[i])
		})
	}
	asking.Wait()
	return all
}

func compare(ctx context.Context, dns DNS, r Record) Difference {
	d := Difference{Record: r, Want: r.Value}
	a, err := dns.AskAuthority(ctx, appliance.QueryType(r.Type), r.Name)
	if err != nil {
		d.unasked(err, judge(ctx, dns, &r, appliance.DNSAnswer{}))
		return d
	}
	d.Zone = a.Zone
	if a.Name != r.Name {
		d.At = a.Name
	}
	for _, s := range a.Servers {
		d.Servers = append(d.Servers, ask(ctx, dns, &r, s))
	}
	d.conclude()
	return d
}

// unasked is about a record whose servers cannot be found; nothing is what is
// said if there is nothing.
func (d *Difference) unasked(err error, nothing verdict) {
	d.State, d.Text = Unknown, sentence(reason(err)) // it says what could not be found
	if notFound(err) {
		d.State, d.Text = nothing.state, strings.TrimSpace(nothing.text+" No name server has a zone with this name.")
	}
}

// ask judges what a server said.
func ask(ctx context.Context, dns DNS, r *Record, s appliance.ServerAnswer) Server {
	out := Server{Name: s.Server}
	if s.Addr.IsValid() {
		out.Address = s.Addr.String()
	}
	if s.Err != nil && !notFound(s.Err) {
		out.State, out.Text = Unknown, reason(s.Err)
		return out
	}
	v := judge(ctx, dns, r, s.Answer)
	out.State, out.There, out.Text, out.want, out.byHand = v.state, v.there, v.text, v.want, v.byHand
	return out
}

// conclude makes one answer of those of the servers. One that could not be asked
// takes nothing from what the others say, and is named.
func (d *Difference) conclude() {
	var silent []string
	var first *Server
	for i := range d.Servers {
		s := &d.Servers[i]
		switch {
		case s.State == Unknown:
			silent = append(silent, s.Name+" ("+s.Text+")")
		case first == nil:
			first = s
		case s.State != first.State || !slices.Equal(s.There, first.There):
			d.State = Disagree
		}
	}
	switch {
	case first == nil:
		d.State, d.Text = Unknown, sentence("no name server of "+d.Zone+" has given an answer that can be used: "+strings.Join(silent, ", "))
		return
	case d.State == Disagree && d.wellEverywhere():
		d.State = Equal // each has it in words of its own
	}
	if d.State == Disagree {
		d.disagree()
	} else {
		d.State, d.There, d.Text = first.State, first.There, first.Text
		d.Want = cmp.Or(first.want, d.Want)
		if first.byHand {
			d.By, d.Want = "you, after a look at what is there", first.want
		}
	}
	if d.State == Equal {
		d.Want = ""
	}
	if len(silent) > 0 {
		d.Text = strings.TrimSpace(d.Text + " " + "No answer that can be used came from " + strings.Join(silent, ", ") + ".")
	}
}

func (d *Difference) wellEverywhere() bool {
	return !slices.ContainsFunc(d.Servers, func(s Server) bool { return s.State != Equal && s.State != Unknown })
}

// disagree is about a record that is on its way, or that one server will never
// get.
func (d *Difference) disagree() {
	d.Text = "The name servers of " + d.Zone + " do not say the same. If the record was changed a moment ago, wait; otherwise one of them does not get the changes of the zone."
}

// reason is a DNS error in words, without the name, which the reader knows.
func reason(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.Err
	}
	return err.Error()
}

func notFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

// sentence begins with a capital, unless with a tag such as p=, and ends with a
// full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	if first, _, _ := strings.Cut(s, " "); strings.Contains(first, "=") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
