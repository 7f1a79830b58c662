package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A QueueSummary counts what is in the queue.
type QueueSummary struct {
	QueueCount
	By     string       `json:"by"`
	Groups []QueueGroup `json:"groups"` // most waiting recipients first
	More   int          `json:"more"`   // groups that are left out
}

// A QueueCount counts messages, deliveries and the recipients that wait.
type QueueCount struct {
	Messages   int       `json:"messages"`
	Deliveries int       `json:"deliveries"`
	Recipients int       `json:"recipients"`      // that wait
	Octets     int64     `json:"octets"`          // of the messages
	Active     int       `json:"active"`          // deliveries that are being attempted
	Held       int       `json:"held"`            // deliveries
	Oldest     time.Time `json:"oldest,omitzero"` // when the oldest message was received
	Next       time.Time `json:"next,omitzero"`   // when the next delivery is due that is neither active nor held
}

// A QueueGroup is what has something in common. A message with deliveries in
// several groups counts in each.
type QueueGroup struct {
	Key string `json:"key"`
	QueueCount
	Last  *Reply          `json:"last,omitempty"` // of the newest attempt
	Class appliance.Class `json:"class,omitempty"`
	When  time.Time       `json:"when,omitzero"` // of the newest attempt
}

// maxGroups is how many groups a summary has.
const maxGroups = 1000

// summaryKeys say to which group a recipient that waits belongs.
var summaryKeys = map[string]func(e *appliance.Entry, d *appliance.Delivery, r *appliance.RecipientState) string{
	"destination": func(_ *appliance.Entry, d *appliance.Delivery, _ *appliance.RecipientState) string {
		return d.Destination
	},
	"class": func(_ *appliance.Entry, _ *appliance.Delivery, r *appliance.RecipientState) string {
		return cmp.Or(string(r.Last.Class), "not tried yet")
	},
	"sender": func(e *appliance.Entry, _ *appliance.Delivery, _ *appliance.RecipientState) string {
		return e.Envelope.From.Path()
	},
	"domain": func(_ *appliance.Entry, _ *appliance.Delivery, r *appliance.RecipientState) string {
		return r.Mailbox.Domain
	},
	"user": func(e *appliance.Entry, _ *appliance.Delivery, _ *appliance.RecipientState) string {
		return cmp.Or(e.Origin.User, "(none)")
	},
}

// SummaryKeys are what a summary can be made by.
var SummaryKeys = []string{"destination", "domain", "class", "sender", "user"}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	by := cmp.Or(q.Get("by"), SummaryKeys[0])
	if summaryKeys[by] == nil {
		return badRequest("there is no summary by %q; use %s", by, strings.Join(SummaryKeys, ", "))
	}
	q.Del("by")
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	f.Limit = 0
	sum, err := summarize(r.Context(), s.opts.Appliance.Store(), f.core(time.Now()), by)
	setWriteDeadline(w, writeTimeout) // a long queue takes its time
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, sum)
	return nil
}

func summarize(ctx context.Context, store appliance.Store, f appliance.Filter, by string) (QueueSummary, error) {
	t := tally{by: by, groups: make(map[string]*QueueGroup)}
	for e, err := range store.Query(ctx, f) {
		if err != nil {
			return QueueSummary{}, err
		}
		t.message(&e)
	}
	sum := QueueSummary{QueueCount: t.all, By: by, Groups: make([]QueueGroup, 0, len(t.groups))}
	for _, g := range t.groups {
		sum.Groups = append(sum.Groups, *g)
	}
	slices.SortFunc(sum.Groups, func(a, b QueueGroup) int {
		return cmp.Or(cmp.Compare(b.Recipients, a.Recipients), cmp.Compare(a.Key, b.Key))
	})
	if n := len(sum.Groups) - maxGroups; n > 0 {
		sum.Groups, sum.More = sum.Groups[:maxGroups], n
	}
	return sum, nil
}

// A tally is a summary in the making.
type tally struct {
	by     string
	all    QueueCount
	groups map[string]*QueueGroup
}

// message counts one message, once for each group it is in.
func (t *tally) message(e *appliance.Entry) {
	t.all.message(e)
	seen := make(map[*QueueGroup]bool)
	for i := range e.Deliveries {
		d := &e.Deliveries[i]
		t.all.delivery(d)
		counted := make(map[*QueueGroup]bool)
		for k := range d.Delivery.Recipients {
			r := &d.Delivery.Recipients[k]
			if r.Status != appliance.Waiting {
				continue
			}
			g := t.group(summaryKeys[t.by](e, &d.Delivery, r))
			if !seen[g] {
				seen[g] = true
				g.message(e)
			}
			if !counted[g] {
				counted[g] = true
				g.delivery(d)
			}
			t.all.Recipients++
			g.Recipients++
			g.note(r)
		}
	}
}

func (t *tally) group(key string) *QueueGroup {
	g := t.groups[key]
	if g == nil {
		g = &QueueGroup{Key: key}
		t.groups[key] = g
	}
	return g
}

func (c *QueueCount) message(e *appliance.Entry) {
	c.Messages++
	c.Octets += e.Size
	if c.Oldest.IsZero() || e.Received.Before(c.Oldest) {
		c.Oldest = e.Received
	}
}

func (c *QueueCount) delivery(d *appliance.EntryDelivery) {
	c.Deliveries++
	switch {
	case d.Leased:
		c.Active++
	case d.Delivery.Held:
		c.Held++
	case c.Next.IsZero() || d.Delivery.Due.Before(c.Next):
		c.Next = d.Delivery.Due
	}
}

// note keeps what was heard last.
func (g *QueueGroup) note(r *appliance.RecipientState) {
	if r.Last.Reply.Code != 0 && r.When.After(g.When) {
		g.When, g.Last, g.Class = r.When, wireReply(&r.Last.Reply), r.Last.Class
	}
}
