package dkim

import (
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// standardHeaders is the default of the attribute headers: what a reader sees,
// what says how to read the body, and what ties a thread together.
var standardHeaders = []string{
	"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// ifPresent are fields that are signed, and protected against another of the
// same name, only if they are there: whoever forwards a message to a mailing
// list adds them rightfully (RFC 2369, RFC 2919, RFC 8058).
var ifPresent = []string{
	"Sender", "List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe",
	"List-Post", "List-Owner", "List-Archive", "Feedback-ID",
}

const (
	// maxHeaders bounds the attribute headers.
	maxHeaders = 100
	// maxInstances bounds how often a field that we sign may occur. RFC 5322,
	// section 3.6, allows nearly all of them once. With maxHeaderName it keeps
	// a line of the signature under 998 octets.
	maxInstances = 10
	// foldAfter is the column from which a list is folded.
	foldAfter = 50
)

// A fieldList is what a signature covers: the fields, in wire order, and the
// names for its h= tag.
//
// The names make a line longer than mail allows, and the library does not fold
// it. It can be folded from here: a name with a fold in front of it is, for
// whoever makes the signature, the name of no field and adds nothing to the
// hash. For whoever verifies it, white space does not count (RFC 6376, section
// 3.5) and it is the name of a field that is not there, which adds nothing
// either. So exactly the names that stand for a field that is not there, one
// for each, can begin a line.
type fieldList struct {
	fields []appliance.Field
	names  []string
	column int
}

// fieldsToSign chooses what to sign. A field that occurs too often is the
// fault of the message, and an error.
func (d *DKIM) fieldsToSign(h *appliance.Header) (*fieldList, error) {
	counts := make(map[string]int, len(d.Headers)+len(ifPresent))
	for _, n := range d.Headers {
		counts[strings.ToLower(n)] = 0
	}
	optional := make([]string, 0, len(ifPresent))
	for _, n := range ifPresent {
		if _, listed := counts[strings.ToLower(n)]; !listed && h.Count(n) > 0 {
			counts[strings.ToLower(n)] = 0
			optional = append(optional, n)
		}
	}
	list := new(fieldList)
	for f := range h.All() {
		name := strings.ToLower(f.Name)
		n, wanted := counts[name]
		if !wanted {
			continue
		}
		if n == maxInstances {
			return nil, appliance.Replyf(550, 6, 0, "The header has more than %d fields of a kind that may occur once; remove the surplus", maxInstances)
		}
		counts[name] = n + 1
		list.fields = append(list.fields, f)
	}
	for _, names := range [][]string{d.Headers, optional} {
		for _, n := range names {
			list.add(n, counts[strings.ToLower(n)])
		}
	}
	return list, nil
}

// add lists a name for each of n fields, and once more.
func (l *fieldList) add(name string, n int) {
	for range n {
		l.names = append(l.names, name)
		l.column += len(name) + 1
	}
	if l.column > foldAfter {
		l.names = append(l.names, "\r\n "+name)
		l.column = 0
	} else {
		l.names = append(l.names, name)
	}
	l.column += len(name) + 1
}
