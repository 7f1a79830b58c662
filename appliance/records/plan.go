package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An Action is what is done about a record.
type Action string

// The actions of a plan.
const (
	ActionAdd     Action = "add"     // nothing of it is there
	ActionReplace Action = "replace" // what is there is in its place
	ActionLeave   Action = "leave"   // somebody else has to do it, or to think first
)

// A Change is what a plan does about one record.
type Change struct {
	Action Action `json:"action"`
	Title  string `json:"title"` // "SPF of example.com"
	Zone   string `json:"zone,omitempty"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Old    string `json:"old,omitempty"` // what is replaced
	New    string `json:"new,omitempty"` // what is written; of what is left, what should be there
	Why    string `json:"why,omitempty"` // why it is left, and who has to do what: sentences
	// Unknown is true of a record that is needed and is left because nobody knows
	// whether it is there.
	Unknown bool `json:"unknown,omitempty"`
	// Error says why it could not be done.
	Error string `json:"error,omitempty"`
}

// Same says whether two changes do the same.
func (c *Change) Same(o *Change) bool {
	return c.Action == o.Action && c.Zone == o.Zone && c.Name == o.Name && c.Type == o.Type && c.Old == o.Old && c.New == o.New
}

// Plan is what to do about records that are not as they are wanted. There is
// nothing in it about those that are.
func Plan(found []Difference) []Change {
	var all []Change
	for i := range found {
		if d := &found[i]; !d.OK() {
			all = append(all, d.change())
		}
	}
	return all
}

func (d *Difference) change() Change {
	c := Change{Action: ActionLeave, Title: d.Title(), Zone: d.Zone, Name: d.Name, Type: d.Type, New: d.Want}
	switch {
	case d.By != "":
		c.Why = strings.TrimSpace(d.Text + " It is written by " + d.By + ".")
	case d.At != "":
		c.Why = fmt.Sprintf("%s is an alias of %s: write it there, where the alias leads.", d.Name, d.At)
	case d.State == Unknown, d.State == Disagree, d.Zone == "", d.Want == "":
		c.Why, c.Unknown = d.Text, d.State == Unknown && d.Needed
	case d.State == Missing, d.Kind == KindTLSA: // of which there can be several
		c.Action = ActionAdd
	case len(d.There) == 1 && (d.Kind == KindSPF || d.Kind == KindDMARC):
		c.Action, c.Old = ActionReplace, d.There[0]
	case d.Kind == KindDKIM:
		c.Why = d.Text + " It is left alone, since another server may sign with it: if none does, delete it by hand."
	default:
		c.Why = d.Text
	}
	return c
}

// ttl is that of the records: short enough to mend a mistake the same day.
const ttl = time.Hour

// A Provider writes records: an appliance.DNSProvider is one.
type Provider interface {
	libdns.RecordAppender
	libdns.RecordDeleter
}

// Apply does what a plan says, one change after the other, and returns the plan
// with what could not be done. What is replaced is deleted first, since two
// records would be worse than none for a moment; if the new one cannot be
// written then, the old one is put back.
func Apply(ctx context.Context, p Provider, plan []Change) []Change {
	done := slices.Clone(plan)
	for i := range done {
		c := &done[i]
		c.Error = ""
		if c.Action == ActionLeave {
			continue
		}
		if err := c.apply(ctx, p); err != nil {
			c.Error = err.Error()
		}
	}
	return done
}

func (c *Change) apply(ctx context.Context, p Provider) error {
	zone := c.Zone + "."
	if c.Action == ActionReplace {
		gone, err := p.DeleteRecords(ctx, zone, []libdns.Record{c.record(c.Old, 0)})
		switch {
		case err != nil:
			return fmt.Errorf("the record that is there cannot be deleted: %w", err)
		case len(gone) == 0:
			return errors.New("the record that was to be replaced is not there: the dns block is for other servers than those of the zone, or somebody was faster")
		}
	}
	_, err := p.AppendRecords(ctx, zone, []libdns.Record{c.record(c.New, ttl)})
	if err == nil || c.Action != ActionReplace {
		return err
	}
	// What has begun to fail may be ctx itself.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
	defer cancel()
	if _, again := p.AppendRecords(back, zone, []libdns.Record{c.record(c.Old, ttl)}); again != nil {
		return fmt.Errorf("the new record cannot be written: %w; and the old one, which was deleted before, cannot be put back: %w", err, again)
	}
	return fmt.Errorf("the new record cannot be written, and the old one was put back: %w", err)
}

// restoreTime is for putting back what was deleted.
const restoreTime = 30 * time.Second

func (c *Change) record(value string, ttl time.Duration) libdns.Record {
	return libdns.RR{Name: libdns.RelativeName(c.Name+".", c.Zone+"."), Type: c.Type, Data: value, TTL: ttl}
}

// ProviderOf finds the dns block that records are written through: the one that
// is named, as "dns.zone" or "zone"; that of deliverability.publish; or the only
// one there is.
func ProviderOf(g *appliance.Graph, name string) (Provider, appliance.Addr, error) {
	attr := "--through"
	if name == "" {
		attr, name = "deliverability.publish", g.Settings.Deliverability.Publish
	}
	var there []string
	var last *appliance.Node
	for _, n := range g.Nodes {
		if n.Addr.Kind != appliance.KindDNS {
			continue
		}
		there, last = append(there, n.Addr.String()), n
		if n.Addr.Name == strings.TrimPrefix(name, "dns.") {
			return n.Module.(appliance.DNSProvider), n.Addr, nil
		}
	}
	text := "there are several dns blocks, " + strings.Join(there, ", ") + ": say which with --through, or with publish in the deliverability block"
	switch {
	case len(there) == 0:
		text = `the configuration has no dns block to publish through; declare one, or paste what "waxwing dns" prints where you keep the zone`
	case name != "":
		text = fmt.Sprintf("%s: there is no %q; there is %s", attr, name, strings.Join(there, ", "))
	case len(there) == 1:
		return last.Module.(appliance.DNSProvider), last.Addr, nil
	}
	return nil, appliance.Addr{}, &cannotError{text}
}

// A cannotError is errors.ErrUnsupported in words.
type cannotError struct{ text string }

func (e *cannotError) Error() string { return e.text }
func (*cannotError) Unwrap() error   { return errors.ErrUnsupported }
