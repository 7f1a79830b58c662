// Package suddenchange is check "sudden_change": mail of a user who suddenly
// sends far more than ever waits for a person to look at it.
//
//	check "sudden_change" "brake" {
//	  postmaster = "postmaster@example.com"
//	}
//
// It is for the account whose password was stolen. Its mail is accepted, so
// that nobody loses any, and held in the queue; a person releases or drops it
// with the commands of the queue.
//
// # The rule
//
// Three things are counted for each user who logs in, in the last hour:
//
//	recipients   of all messages
//	domains      that the user has not written to before
//	bounces      of what the user has sent
//
// Of each, the highest count of each day is remembered for the last 30 days
// with mail. What is usual is the highest of them, without today. A message is
// held when with it
//
//	recipients > the larger of  min_recipients      and  factor × usual
//	domains    > the larger of  min_recipients / 4  and  factor × usual
//	bounces    > the larger of  min_recipients / 5  and  factor × usual
//
// What is held counts in its hour, so that a burst is held to its end. A day on
// which something was held is none of those that say what is usual: somebody
// who is meant to send so much belongs into except. Nobody is held who has been known for less than
// learn, or has sent on less than three days before today: there is nothing to
// compare with. After 1,000 held messages of a user in an hour, more are
// answered 452: the queue is no place for a flood.
//
// # What it remembers
//
// Counts and days survive a restart. They are written every ten minutes and
// when the server stops; after a crash, up to ten minutes are missing. Domains
// are remembered as numbers, 256 of each user, those used last.
package suddenchange

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/userbook"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindCheck,
		Name:    "sudden_change",
		Summary: "holds the mail of a user who suddenly sends far more than ever",
		Example: `check "sudden_change" "brake" {
  postmaster = "postmaster@example.com"
}
`,
		New: func() appliance.Module {
			return &SuddenChange{Factor: 5, MinRecipients: 100, Learn: 7 * 24 * time.Hour}
		},
	})
}

// SuddenChange is the check.
type SuddenChange struct {
	// How many times as much as the most of any day before is sudden. Default 5.
	Factor int `hcl:"factor,optional"`
	// Recipients in an hour up to which nothing is held, whatever is usual; a
	// quarter of it in domains that are new to the user, a fifth in bounces.
	// Default 100.
	MinRecipients int `hcl:"min_recipients,optional"`
	// How long a user must have been known before any mail is held. Default 7d.
	Learn time.Duration `hcl:"learn,optional"`
	// Users whose mail is never held: those who send newsletters. Default: none.
	Except []string `hcl:"except,optional"`
	// Who is told, once in a day for each user whose mail is held:
	// "postmaster@example.com". A signer must be responsible for the host name
	// of the server, from which the message comes. Default: nobody but the log.
	Postmaster appliance.Mailbox `hcl:"postmaster,optional"`

	ctx  *appliance.Context
	log  *zap.Logger
	now  func() time.Time
	book *userbook.Book[record]
	held prometheus.Counter
}

var (
	_ appliance.Check     = (*SuddenChange)(nil)
	_ appliance.Validator = (*SuddenChange)(nil)
	_ appliance.Starter   = (*SuddenChange)(nil)
	_ appliance.EventSink = (*SuddenChange)(nil)
)

// Validate implements appliance.Validator.
func (s *SuddenChange) Validate() error {
	switch {
	case s.Factor < 2:
		return &appliance.AttrError{Attr: "factor", Msg: "must be at least 2, or what is usual would be held"}
	case s.MinRecipients < 10:
		return &appliance.AttrError{Attr: "min_recipients", Msg: "must be at least 10, or one letter to a few people would be held"}
	case s.Learn < 0:
		return &appliance.AttrError{Attr: "learn", Msg: `must not be negative; write "7d"`}
	}
	return nil
}

// Provision implements appliance.Module.
func (s *SuddenChange) Provision(ctx *appliance.Context) error {
	s.ctx, s.log = ctx, ctx.Log
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.book = &userbook.Book[record]{Values: ctx.Values, Log: s.log, Every: 10 * time.Minute, Idle: s.idle}
	s.held = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_sudden_change_held_total", Help: "Messages held because a user suddenly sends far more than ever.",
	})
	if ctx.Metrics == nil {
		return nil
	}
	return ctx.Metrics.Register(s.held)
}

// Start implements appliance.Starter.
func (s *SuddenChange) Start(ctx context.Context) error { return s.book.Start(ctx) }

// Stop implements appliance.Starter.
func (s *SuddenChange) Stop(ctx context.Context) error { return s.book.Stop(ctx) }

// Stages implements appliance.Check.
func (s *SuddenChange) Stages() appliance.Stage { return appliance.AtContent }

// errFlood is for what comes after so much has been held.
var errFlood = appliance.NewReply(452, 7, 1, "Much more mail than usual from you is waiting for the administrator; ask the administrator, and try again later")

// Inspect implements appliance.Check.
func (s *SuddenChange) Inspect(ctx context.Context, _ appliance.Stage, tx *appliance.Transaction) (v appliance.Verdict, err error) {
	user := tx.Session.User()
	if user == "" || slices.Contains(s.Except, user) {
		return v, nil
	}
	if tx.Session.Trial {
		s.book.Look(user, func(r *record) { v.Hold = s.judge(r, s.now()) })
		return v, nil
	}
	var room, tell bool
	var reason string
	s.book.Update(user, func(r *record) {
		now := s.now()
		domains := domainsOf(tx.Envelope.Recipients)
		r.note(now, int64(len(tx.Envelope.Recipients)), int64(r.strange(domains)))
		if reason = s.judge(r, now); reason == "" {
			r.learn(now, domains)
			return
		}
		room = r.hold(now)
		if tell = now.Sub(r.Told) > 24*time.Hour; tell {
			r.Told = now
		}
	})
	if tell {
		s.tell(ctx, user, reason)
	}
	switch {
	case reason == "":
	case room:
		s.held.Inc()
		v.Hold = reason
	default:
		v.Refuse = errFlood.With(errors.New(reason))
	}
	return v, nil
}

// Emit implements appliance.EventSink: what bounces counts for who sent it.
func (s *SuddenChange) Emit(e appliance.Event) {
	if e.Kind == appliance.EventBounced && e.User != "" && s.book != nil {
		s.book.Update(e.User, func(r *record) { r.bounced(s.now()) })
	}
}
