package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) queueShowCommand() *cobra.Command {
	var dialogue bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "show a message in the queue: what was tried, why it waits, and what to do",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			m, err := client.Queued(c.Context(), queueID(args[0]))
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, m)
			}
			s := &sheet{now: time.Now(), dialogue: dialogue}
			s.message(&m)
			return errors.Join(s.writeTo(p.out), p.noteSuspensions(c.Context(), client))
		},
	}
	c.Flags().BoolVar(&dialogue, "dialogue", false, "what was said to each server, and what it answered")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (s *sheet) message(m *admin.QueuedMessage) {
	s.add(0, "id", string(m.ID))
	s.add(0, "received", clock(m.Received)+", "+ago(s.now.Sub(m.Received)))
	s.add(0, "from", m.From.Path())
	s.add(0, "size", fmt.Sprintf("%d octets", m.Size))
	s.add(0, "pipeline", m.Origin.Pipeline)
	s.add(0, "listener", m.Origin.Listener)
	s.add(0, "user", m.Origin.User)
	s.add(0, "client", m.Origin.Client)
	s.add(0, "signed by", strings.Join(m.Origin.SignedBy, ", "))
	for i := range m.Deliveries {
		s.gap()
		s.delivery(&m.Deliveries[i])
	}
}

func (s *sheet) delivery(d *admin.QueuedDelivery) {
	s.add(0, "destination", d.Destination)
	s.add(0, "state", fmt.Sprintf("%s, %s so far", d.State, number(d.Attempts, "attempt", "attempts")))
	if d.State == "waiting" {
		s.add(0, "next", clock(d.Due)+", "+ahead(d.Due.Sub(s.now))+s.isDue(d))
	}
	if d.State != "done" {
		s.add(0, "gives up", clock(d.GivesUp)+", "+ahead(d.GivesUp.Sub(s.now)))
	}
	for i := range d.Recipients {
		s.recipient(&d.Recipients[i])
	}
	if missing := d.Attempts - len(d.History); len(d.History) > 0 && missing > 0 {
		s.add(0, "attempts", fmt.Sprintf("the first %d are not remembered", missing))
	}
	for i := range d.History {
		s.attempt(&d.History[i])
	}
}

// isDue says where to look for what keeps a delivery whose time has come.
func (s *sheet) isDue(d *admin.QueuedDelivery) string {
	if d.Due.After(s.now) {
		return ""
	}
	return `: it waits for its turn, or for a limit of its site, of which "waxwing queue sites" tells`
}

func (s *sheet) recipient(r *admin.QueuedRecipient) {
	s.add(0, "recipient", r.To.Path()+" "+r.Status)
	if r.Last == nil {
		return
	}
	s.add(2, "reply", clock(r.When)+" "+r.Last.String())
	if r.Reason == nil {
		return
	}
	s.add(2, "because", r.Reason.Words+" ("+string(r.Reason.Class)+")")
	s.add(2, "cause", r.Cause)
	s.add(2, "advice", r.Reason.Advice)
	s.add(2, "more at", r.Reason.MoreAt)
}

func (s *sheet) attempt(a *admin.QueuedAttempt) {
	s.add(0, fmt.Sprintf("attempt %d", a.Number), clock(a.Began)+", took "+seconds(a.Took))
	for i := range a.Servers {
		s.server(&a.Servers[i])
	}
	if len(a.Servers) == 0 {
		s.add(2, "tried", "no server")
	}
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		who := "nobody in particular"
		if len(o.To) > 0 {
			who = o.To[0].Path()
		}
		if n := len(o.To) - 1; n > 0 {
			who += fmt.Sprintf(" and %d more", n)
		}
		s.add(2, "result", fmt.Sprintf("%s%s: %s%s", who, by(o.Relay, a.Outcomes), o.Reply, inBrackets(string(o.Class))))
		s.add(4, "cause", o.Cause)
	}
}

// by names the relay of a result if the attempt had more than one: the first
// and its fallback.
func by(relay string, all []admin.AttemptOutcome) string {
	if !slices.ContainsFunc(all, func(o admin.AttemptOutcome) bool { return o.Relay != relay }) {
		return ""
	}
	return " by relay." + relay
}

func (s *sheet) server(t *admin.TriedServer) {
	what := strings.TrimSpace(t.Host + " " + t.Peer)
	if what == "" {
		what = "no server"
	}
	if t.TLS != "" {
		what += ", " + t.TLS
	}
	if t.Took >= 1 {
		what += ", after " + seconds(t.Took)
	}
	if t.Useless != nil {
		what += ": " + t.Useless.String()
	}
	s.add(2, "tried", what)
	s.add(4, "cause", t.Cause)
	if !s.dialogue {
		return
	}
	for line := range strings.Lines(t.Dialogue) {
		s.add(4, "", strings.TrimSuffix(line, "\n"))
	}
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// seconds writes how long something took.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d < time.Minute {
		return d.Round(10 * time.Millisecond).String()
	}
	return appliance.FormatDuration(d.Round(time.Second))
}
