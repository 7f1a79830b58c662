package suddenchange

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// tellTime bounds what a user waits for because the postmaster is told.
const tellTime = 10 * time.Second

// tell tells the postmaster. If that fails the log has it: the mail of the user
// is held all the same.
func (s *SuddenChange) tell(ctx context.Context, user, reason string) {
	s.log.Warn("a user suddenly sends far more than ever: the mail is held", zap.String("user", user), zap.String("reason", reason))
	if s.Postmaster.IsNull() || s.ctx.Post == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	from := appliance.Mailbox{Local: "postmaster", Domain: s.ctx.Hostname}
	env := appliance.Envelope{Recipients: []appliance.Recipient{{Mailbox: s.Postmaster, Notify: appliance.NotifyNever}}}
	if _, err := s.ctx.Post(ctx, env, s.header(from), []byte("\r\n"+crlf(text(user, reason, s.ctx.Hostname)))); err != nil {
		s.log.Warn("the postmaster cannot be told that mail is held", zap.String("user", user), zap.Error(err))
	}
}

func (s *SuddenChange) header(from appliance.Mailbox) (h appliance.Header) {
	for _, f := range [][2]string{
		{"From", from.Path()}, {"To", s.Postmaster.Path()}, {"Date", s.now().Format(time.RFC1123Z)},
		{"Message-ID", "<" + string(appliance.NewQueueID(s.now())) + "@" + s.ctx.Hostname + ">"},
		{"Subject", "Mail of a user is held: sudden change"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834, section 5
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "8bit"},
	} {
		h.Append(appliance.NewField(f[0], f[1]))
	}
	return h
}

func text(user, reason, hostname string) string {
	return fmt.Sprintf(`On %s, user %q suddenly sends far more than ever:
%s.

If the password may have been stolen, change it first. What was accepted since
then waits in the queue, and what follows too while this goes on:

    waxwing queue list --held
    waxwing queue show ID

To let a message go, or to throw it away:

    waxwing queue release ID
    waxwing queue drop ID

A user who is meant to send so much belongs into except of this check. You are
told once in a day for each user.
`, hostname, user, reason)
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
