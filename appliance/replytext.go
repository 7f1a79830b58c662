package appliance

import (
	"fmt"
	"regexp"
	"strconv"
)

// A ReplyText is a Reply written in the configuration: "550 5.1.2 No such
// domain". The enhanced status code may be left out.
type ReplyText struct{ Reply }

var replyText = regexp.MustCompile(`^([45])([0-5][0-9])(?: ([45])\.([0-9]{1,3})\.([0-9]{1,3}))? ([\x20-\x7e]{1,400})$`)

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *ReplyText) UnmarshalText(b []byte) error {
	m := replyText.FindSubmatch(b)
	if m == nil || len(m[3]) > 0 && m[1][0] != m[3][0] {
		return fmt.Errorf(`%q is not a reply that refuses; write a code and a text, such as "550 5.1.2 No such domain"`, b)
	}
	number := func(b []byte) int { n, _ := strconv.Atoi(string(b)); return n } // the pattern has digits only
	t.Reply = Reply{
		Code:   number(m[1])*100 + number(m[2]),
		Detail: Detail{number(m[4]), number(m[5])},
		Text:   string(m[6]),
	}
	return nil
}
