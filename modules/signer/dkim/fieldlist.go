package dkim

import (
	"slices"
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
	// section 3.6, allows nearly all of them once.
	maxInstances = 10
)

// A fieldList is what a signature covers of the header.
type fieldList struct {
	names   []string // for its h= tag
	relaxed []byte   // the fields that they name, in that order, in relaxed form
}

// fieldsToSign chooses what to sign. A field that occurs too often is the
// fault of the message, and an error.
func (d *DKIM) fieldsToSign(h *appliance.Header) (*fieldList, error) {
	fields := slices.AppendSeq(make([]appliance.Field, 0, 16), h.All())
	list := &fieldList{names: make([]string, 0, 2*len(d.Headers)), relaxed: make([]byte, 0, 1024)}
	for _, name := range d.Headers {
		if _, err := list.add(name, fields); err != nil {
			return nil, err
		}
		list.names = append(list.names, name)
	}
	for _, name := range ifPresent {
		if slices.ContainsFunc(d.Headers, func(n string) bool { return sameName(n, name) }) {
			continue
		}
		found, err := list.add(name, fields)
		if err != nil {
			return nil, err
		}
		if found {
			list.names = append(list.names, name)
		}
	}
	return list, nil
}

// add lists a name for each field that has it, the last one first (RFC 6376,
// section 5.4.2).
func (l *fieldList) add(name string, fields []appliance.Field) (found bool, err error) {
	n := 0
	for _, f := range slices.Backward(fields) {
		if !sameName(f.Name, name) {
			continue
		}
		if n++; n > maxInstances {
			return false, appliance.Replyf(550, 6, 0, "The header has more than %d fields of a kind that may occur once; remove the surplus", maxInstances)
		}
		l.names = append(l.names, name)
		l.relaxed = appendRelaxed(l.relaxed, f.Raw)
	}
	return n > 0, nil
}

// sameName compares names of fields. Of the same length, since EqualFold knows
// letters beyond ASCII that are written like the s and the k.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
