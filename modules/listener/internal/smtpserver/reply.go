package smtpserver

import (
	"bufio"
	"strconv"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxReplyText keeps a reply line within the 512 octets of RFC 5321, section
// 4.5.3.1.5, with code and status.
const maxReplyText = 480

// writeReply writes r, one line or several. RFC 2034, section 4: the enhanced
// status code stands on each line of a 2yz, 4yz or 5yz reply.
func writeReply(w *bufio.Writer, r *appliance.Reply) {
	lines := replyLines(r.Text)
	status := ""
	if class := r.Class(); class == 2 || class == 4 || class == 5 {
		status = r.Status() + " "
	}
	writeLines(w, r.Code, status, lines)
}

// writePlain writes a reply without an enhanced status code: greeting, EHLO
// and 3yz (RFC 2034, section 3).
func writePlain(w *bufio.Writer, code int, lines ...string) { writeLines(w, code, "", lines) }

// Errors of w stick and are seen by the next flush.
func writeLines(w *bufio.Writer, code int, status string, lines []string) {
	for i, line := range lines {
		sep := byte('-')
		if i == len(lines)-1 {
			sep = ' '
		}
		_, _ = w.WriteString(strconv.Itoa(code))
		_ = w.WriteByte(sep)
		_, _ = w.WriteString(status)
		_, _ = w.WriteString(line)
		_, _ = w.WriteString("\r\n")
	}
}

// replyLines makes lines of a text: printable ASCII, not too long, never none.
func replyLines(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = printable(line)
		for len(line) > maxReplyText {
			lines = append(lines, line[:maxReplyText])
			line = line[maxReplyText:]
		}
		lines = append(lines, line)
	}
	return lines
}

// printable replaces what is not printable ASCII by "?".
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// The replies of the engine. Their texts go to strangers.
var (
	errSequence    = appliance.NewReply(503, 5, 1, "Bad sequence of commands")
	errNoHello     = appliance.NewReply(503, 5, 1, "Send EHLO first")
	errNoMail      = appliance.NewReply(503, 5, 1, "Send MAIL first")
	errNested      = appliance.NewReply(503, 5, 1, "A transaction is open; finish it or send RSET first")
	errNoRcpt      = appliance.NewReply(554, 5, 1, "No valid recipients")
	errUnknown     = appliance.NewReply(500, 5, 2, "Command not recognized")
	errNoArg       = appliance.NewReply(501, 5, 4, "This command takes no argument")
	errCommand     = appliance.NewReply(500, 5, 2, "Commands are printable ASCII")
	errLineEnd     = appliance.NewReply(500, 5, 2, "End each line with CRLF")
	errLong        = appliance.NewReply(500, 5, 2, "Line too long")
	errTooEarly    = appliance.NewReply(554, 5, 0, "You sent data before it was asked for; wait for the reply to EHLO, AUTH, STARTTLS and DATA")
	errPregreet    = appliance.NewReply(554, 5, 0, "You talked before the greeting; wait for it")
	errNotSMTP     = appliance.NewReply(421, 7, 0, "This is an SMTP server")
	errErrors      = appliance.NewReply(421, 7, 0, "Too many errors, closing connection")
	errJunk        = appliance.NewReply(421, 7, 0, "Too many commands without a message, closing connection")
	errTimeout     = appliance.NewReply(421, 4, 2, "Timeout, closing connection")
	errStopping    = appliance.NewReply(421, 3, 2, "Server is restarting, please try again in a moment")
	errCrowded     = appliance.NewReply(421, 7, 0, "Too many connections, please try again later")
	errCrowdedIP   = appliance.NewReply(421, 7, 0, "Too many connections from your address; close some first")
	errTooFast     = appliance.NewReply(421, 7, 0, "Too many connections in a short time from your address; send several messages on each")
	errTooMuch     = appliance.NewReply(450, 7, 1, "Too many messages in a short time from your address; please try again later")
	errBusy        = appliance.NewReply(421, 3, 2, "Too busy at the moment, please try again in a few minutes")
	errCrowdedUser = appliance.NewReply(421, 7, 0, "Too many connections of this user; close some first")
	errInternal    = appliance.NewReply(421, 3, 0, "Local error, closing connection; please try again later")
)
