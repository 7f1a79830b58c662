// Package quota is check "quota": how much a user may send.
//
//	check "quota" "users" {
//	  messages_per_hour  = 100
//	  recipients_per_day = 2000
//	  user "newsletter" { recipients_per_day = 100000 }
//	}
//
// It limits what a stolen password is worth: a program that sends on behalf of
// a user goes on until a limit is reached, and is then answered 452 4.7.1. A
// client keeps what is answered so and tries again.
//
// # Who counts
//
// Each user who has logged in; of clients of trusted networks, who have no
// name, each address. Strangers and the administrator are not counted: the
// former can send to nobody but our own recipients.
//
// # What counts
//
// A message counts when it is complete, with all its recipients, and in the
// hours and days in which it was taken. At MAIL and RCPT it is looked whether
// there is room, so that a client learns it before it sends; at the end of the
// content it is looked and counted in one step, so that many connections at
// once get no more than one. Put the check last in checks: what a later one
// refuses has been counted.
//
// An hour is counted in steps of 5 minutes and a day in steps of an hour, never
// too short: there are no more in any stretch of that time.
//
// # What it remembers
//
// The counts survive a restart. They are written every ten minutes and when
// the server stops; after a crash, up to ten minutes are missing.
package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/userbook"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindCheck,
		Name:    "quota",
		Summary: "how many messages and recipients a user may have in an hour and in a day",
		Example: `check "quota" "users" {
  messages_per_hour  = 100
  recipients_per_day = 2000
  user "newsletter" {
    recipients_per_day = 100000
  }
}
`,
		New: func() appliance.Module { return new(Quota) },
	})
}

// Quota is the check.
type Quota struct {
	// Messages of a user in any hour. Default: no limit.
	MessagesPerHour int `hcl:"messages_per_hour,optional"`
	// Messages of a user in any 24 hours. Default: no limit.
	MessagesPerDay int `hcl:"messages_per_day,optional"`
	// Recipients of all messages of a user in any hour; a message to ten counts
	// ten. Default: no limit.
	RecipientsPerHour int `hcl:"recipients_per_hour,optional"`
	// Recipients of all messages of a user in any 24 hours. Default: no limit.
	RecipientsPerDay int `hcl:"recipients_per_day,optional"`
	// Users with limits of their own, in place of all those above.
	Users []User `hcl:"user,block"`

	now     func() time.Time
	general limits
	own     map[string]limits
	book    *userbook.Book[record]
	refused prometheus.Counter
}

// User is a user block.
type User struct {
	// The name of the user, as the auth block has it.
	Name string `hcl:"name,label"`
	// Messages in any hour. Default: no limit.
	MessagesPerHour int `hcl:"messages_per_hour,optional"`
	// Messages in any 24 hours. Default: no limit.
	MessagesPerDay int `hcl:"messages_per_day,optional"`
	// Recipients in any hour. Default: no limit.
	RecipientsPerHour int `hcl:"recipients_per_hour,optional"`
	// Recipients in any 24 hours. Default: no limit.
	RecipientsPerDay int `hcl:"recipients_per_day,optional"`
}

var (
	_ appliance.Check     = (*Quota)(nil)
	_ appliance.Validator = (*Quota)(nil)
	_ appliance.Starter   = (*Quota)(nil)
)

// Validate implements appliance.Validator.
func (q *Quota) Validate() error {
	general := q.limits()
	if err := general.check(); err != nil {
		return err
	}
	if general == (limits{}) && len(q.Users) == 0 {
		return &appliance.AttrError{Attr: "messages_per_hour", Msg: "is missing, and so are the others: nothing would be limited; write at least one"}
	}
	seen := make(map[string]bool)
	for i := range q.Users {
		u := &q.Users[i]
		own := u.limits()
		if err := own.check(); err != nil {
			return &appliance.AttrError{Attr: "user", Msg: fmt.Sprintf("%q: %v", u.Name, err)}
		}
		if seen[u.Name] {
			return &appliance.AttrError{Attr: "user", Msg: fmt.Sprintf("%q is declared twice; give each user one block", u.Name)}
		}
		seen[u.Name] = true
	}
	return nil
}

// Provision implements appliance.Module.
func (q *Quota) Provision(ctx *appliance.Context) error {
	q.general, q.own = q.limits(), make(map[string]limits)
	for i := range q.Users {
		q.own[q.Users[i].Name] = q.Users[i].limits()
	}
	log := ctx.Log
	if log == nil {
		log = zap.NewNop()
	}
	if q.now == nil {
		q.now = time.Now
	}
	q.book = &userbook.Book[record]{Values: ctx.Values, Log: log, Every: 10 * time.Minute, Idle: q.idle}
	q.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_quota_refused_total", Help: "Commands answered 452 because a user has sent as much as he may.",
	})
	if ctx.Metrics == nil {
		return nil
	}
	return ctx.Metrics.Register(q.refused)
}

// Start implements appliance.Starter.
func (q *Quota) Start(ctx context.Context) error { return q.book.Start(ctx) }

// Stop implements appliance.Starter.
func (q *Quota) Stop(ctx context.Context) error { return q.book.Stop(ctx) }

// Stages implements appliance.Check.
func (q *Quota) Stages() appliance.Stage {
	return appliance.AtSender | appliance.AtRecipient | appliance.AtContent
}

// Inspect implements appliance.Check.
func (q *Quota) Inspect(_ context.Context, at appliance.Stage, tx *appliance.Transaction) (v appliance.Verdict, err error) {
	who := whoIs(tx.Session)
	if who == "" {
		return v, nil
	}
	l, ok := q.own[tx.Session.User()]
	if !ok || tx.Session.User() == "" {
		l = q.general
	}
	want := usage{messages: 1, recipients: int64(len(tx.Envelope.Recipients))}
	if at == appliance.AtSender {
		want.recipients = 1 // there will be one at least
	}
	visit, counts := q.book.Look, at == appliance.AtContent && !tx.Session.Trial
	if counts {
		visit = q.book.Update
	}
	visit(who, func(r *record) {
		now := q.now()
		if v.Refuse = r.refuse(l, want, now, who); v.Refuse == nil && counts {
			r.add(want, now)
		}
	})
	if v.Refuse != nil {
		q.refused.Inc()
	}
	return v, nil
}

// whoIs names who is counted, "" for those who are not. A user name holds no
// space.
func whoIs(s *appliance.Session) string {
	switch {
	case s.User() != "":
		return s.User()
	case s.Trusted == "" || s.Trusted == appliance.TrustedAdmin:
		return ""
	}
	return "client " + s.Client.Addr().Unmap().String()
}
