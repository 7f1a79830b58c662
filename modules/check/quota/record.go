package quota

import (
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/window"
)

// limits are what a user may send; 0 is no limit.
type limits struct {
	messagesPerHour, messagesPerDay, recipientsPerHour, recipientsPerDay int
}

func (q *Quota) limits() limits {
	return limits{q.MessagesPerHour, q.MessagesPerDay, q.RecipientsPerHour, q.RecipientsPerDay}
}

func (u *User) limits() limits {
	return limits{u.MessagesPerHour, u.MessagesPerDay, u.RecipientsPerHour, u.RecipientsPerDay}
}

func (l *limits) check() error {
	for _, x := range []struct {
		attr string
		n    int
	}{
		{"messages_per_hour", l.messagesPerHour}, {"messages_per_day", l.messagesPerDay},
		{"recipients_per_hour", l.recipientsPerHour}, {"recipients_per_day", l.recipientsPerDay},
	} {
		if x.n < 0 {
			return &appliance.AttrError{Attr: x.attr, Msg: "must not be negative; leave it out for no limit"}
		}
	}
	return nil
}

// A usage is what a message adds.
type usage struct{ messages, recipients int64 }

// A record is what a user has sent. It is stored.
type record struct {
	MessagesHour   window.Window `json:"messages_hour"`
	MessagesDay    window.Window `json:"messages_day"`
	RecipientsHour window.Window `json:"recipients_hour"`
	RecipientsDay  window.Window `json:"recipients_day"`
}

// A rule is one of the limits and what is counted for it.
type rule struct {
	what  string
	span  window.Span
	count *window.Window
	limit int
	want  int64
}

func (r *record) rules(l limits, want usage) []rule {
	return []rule{
		{"messages", window.Hour, &r.MessagesHour, l.messagesPerHour, want.messages},
		{"messages", window.Day, &r.MessagesDay, l.messagesPerDay, want.messages},
		{"recipients", window.Hour, &r.RecipientsHour, l.recipientsPerHour, want.recipients},
		{"recipients", window.Day, &r.RecipientsDay, l.recipientsPerDay, want.recipients},
	}
}

// refuse says which limit leaves no room for what is wanted, or returns nil. If
// several do, it is the one that takes longest.
func (r *record) refuse(l limits, want usage, now time.Time, who string) (reply *appliance.Reply) {
	longest := time.Duration(-1)
	for _, x := range r.rules(l, want) {
		sent := x.span.Sum(x.count, now)
		if x.limit == 0 || sent+x.want <= int64(x.limit) {
			continue
		}
		if wait := x.wait(now); wait > longest {
			longest, reply = wait, x.reply(wait, fmt.Errorf("%s has sent %d %s in %s, of %d", who, sent, x.what, x.span.Name, x.limit))
		}
	}
	return reply
}

// wait is how long it takes until there is room.
func (x *rule) wait(now time.Time) time.Duration {
	return x.span.Room(x.count, now, max(0, int64(x.limit)-x.want))
}

// reply is what the client is told. RFC 3463, section 3.8: X.7.1 is delivery
// not authorized, and 4 that this may change.
func (x *rule) reply(wait time.Duration, cause error) *appliance.Reply {
	if x.want > int64(x.limit) {
		return appliance.Replyf(452, 7, 1, "You may send to %d recipients in %s, and not to so many at once; "+
			"send to fewer, or ask the administrator for more", x.limit, x.span.Name).With(cause)
	}
	return appliance.Replyf(452, 7, 1, "You may send %s in %s; try again in %s, or ask the administrator for more",
		x.amount(), x.span.Name, appliance.FormatDuration(max(time.Minute, wait.Round(time.Minute)))).With(cause)
}

func (x *rule) amount() string {
	if x.what == "recipients" {
		return fmt.Sprintf("to %d recipients", x.limit)
	}
	return fmt.Sprintf("%d messages", x.limit)
}

// add counts what was taken.
func (r *record) add(u usage, now time.Time) {
	for _, x := range r.rules(limits{}, u) {
		x.span.Add(x.count, now, x.want)
	}
}

// idle says whether nothing was sent in a day.
func (q *Quota) idle(r *record) bool {
	return window.Day.Sum(&r.MessagesDay, q.now()) == 0
}
