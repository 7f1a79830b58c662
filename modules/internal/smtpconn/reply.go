package smtpconn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// What a reply may cost. RFC 5321, section 4.5.3.1.5 allows 512 octets a
// line; real servers use more.
const (
	maxReplyLine  = 4 << 10  // octets, with CRLF: the size of the read buffer
	maxReplyLines = 100      //
	maxReply      = 64 << 10 // octets of all lines
	maxReplyText  = 1 << 10  // octets of text that are kept
)

// errProtocol marks what breaks RFC 5321. The connection is of no use after it.
var errProtocol = errors.New("protocol error")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// A reply is what a server said. lines are the texts without code and
// enhanced status code, printable ASCII, and bounded.
type reply struct {
	code   int
	detail appliance.Detail
	lines  []string
}

func (r reply) class() int { return r.code / 100 }

// closing says that the server is about to close the connection. RFC 5321,
// section 3.8: it may say so in answer to any command.
func (r reply) closing() bool { return r.code == 421 }

// outcome is the reply as the appliance passes it on.
func (r reply) outcome() appliance.Reply {
	text := strings.Join(r.lines, "\n")
	if len(text) > maxReplyText {
		text = text[:maxReplyText-3] + "..."
	}
	return appliance.Reply{Code: r.code, Detail: r.detail, Text: text}
}

func (r reply) String() string {
	o := r.outcome()
	return strings.ReplaceAll(strings.TrimSpace(strconv.Itoa(o.Code)+" "+o.Text), "\n", " / ")
}

// line is the reply as the transcript shows it, on one line.
func (r reply) line() string {
	if r.detail == (appliance.Detail{}) {
		return r.String()
	}
	o := r.outcome()
	return strings.ReplaceAll(strconv.Itoa(o.Code)+" "+o.Status()+" "+o.Text, "\n", " / ")
}

// readReply reads one reply of one or more lines:
//
//	Reply-line = *( Reply-code "-" [ textstring ] CRLF )
//	             Reply-code [ SP textstring ] CRLF
//
// (RFC 5321, section 4.2). A line that ends with LF alone is let pass. The
// error is that of r or an errProtocol.
func readReply(r *bufio.Reader) (reply, error) {
	var rep reply
	total := 0
	for {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return rep, protocolError("reply line of more than %d octets", r.Size())
		}
		if err != nil {
			return rep, err
		}
		if total += len(raw); total > maxReply || len(rep.lines) == maxReplyLines {
			return rep, protocolError("reply of more than %d lines or %d octets", maxReplyLines, maxReply)
		}
		raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
		last, err := rep.add(raw)
		if err != nil || last {
			return rep, err
		}
	}
}

// add takes one line and says whether it is the last of its reply.
func (r *reply) add(line []byte) (last bool, err error) {
	code, ok := replyCode(line)
	if !ok {
		return false, protocolError("%.80q is not a reply", printable(line))
	}
	// RFC 5321, section 4.2.1: "the reply code on each line MUST be the same".
	if r.lines != nil && code != r.code {
		return false, protocolError("reply codes %d and %d in one reply", r.code, code)
	}
	r.code = code
	text := line[3:]
	last = len(text) == 0 || text[0] == ' '
	if len(text) > 0 {
		text = text[1:]
	}
	detail, rest := enhancedCode(code/100, text)
	if detail != (appliance.Detail{}) {
		r.detail = detail
	}
	r.lines = append(r.lines, printable(rest))
	return last, nil
}

// replyCode reads the three digits and checks what follows them.
// RFC 5321, section 4.2: Reply-code = %x32-35 %x30-35 %x30-39.
func replyCode(line []byte) (int, bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '5' || line[2] < '0' || line[2] > '9' {
		return 0, false
	}
	if len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false
	}
	return int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0'), true
}

// enhancedCode takes the enhanced status code off the front of text. RFC
// 2034, section 4: its class must be that of the reply code; one that is not
// is text like any other.
func enhancedCode(class int, text []byte) (appliance.Detail, []byte) {
	word, rest, _ := bytes.Cut(text, []byte(" "))
	if bytes.Count(word, []byte(".")) != 2 {
		return appliance.Detail{}, text
	}
	var n [3]int
	i := 0
	for part := range bytes.SplitSeq(word, []byte(".")) {
		if len(part) < 1 || len(part) > 3 {
			return appliance.Detail{}, text
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				return appliance.Detail{}, text
			}
			n[i] = n[i]*10 + int(c-'0')
		}
		i++
	}
	if n[0] != class {
		return appliance.Detail{}, text
	}
	return appliance.Detail{Subject: n[1], Detail: n[2]}, rest
}

// printable makes a stranger's text harmless in a log, a header field or a
// report.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(b))
}
