// Package markings is check "markings": what is marked as confidential stays
// in the house.
//
//	check "markings" "dlp" {
//	  words  = ["CONFIDENTIAL", "INTERNAL ONLY"]
//	  inside = ["example.com"]
//	}
//
// A message whose Subject holds one of the words is refused if one of its
// recipients is outside. Case, encoding (RFC 2047) and runs of white space in
// the Subject make no difference; a word within a longer word does not count.
// All recipients are refused together, so that nobody believes that the others
// got it by mistake.
//
// A Subject that cannot be decoded is looked at as it is written.
package markings

import (
	"context"
	"fmt"
	"io"
	"mime"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindCheck,
		Name:    "markings",
		Summary: "keeps mail that is marked as confidential in the house",
		Example: `check "markings" "dlp" {
  words  = ["CONFIDENTIAL", "INTERNAL ONLY"]
  inside = ["example.com"]
}
`,
		New: func() appliance.Module { return &Markings{Action: Reject} },
	})
}

// The actions.
const (
	Reject = "reject"
	Count  = "count"
)

// Markings is the check. Its exported fields are its configuration.
type Markings struct {
	// What marks a message, wherever it stands in the Subject.
	Words []string `hcl:"words"`
	// The domains that marked messages may go to. Their subdomains are
	// outside, unless they are named.
	Inside []string `hcl:"inside"`
	// "reject" refuses with 550 5.7.1; "count" lets the message pass and only
	// counts it, to see what would happen. Default "reject".
	Action string `hcl:"action,optional"`

	pattern *regexp.Regexp
	inside  []string
	found   prometheus.Counter
}

// Interface guards.
var (
	_ appliance.Check     = (*Markings)(nil)
	_ appliance.Validator = (*Markings)(nil)
)

// Validate implements appliance.Validator. It looks at nothing but its own
// fields; an AttrError shows the administrator the line to mend.
func (m *Markings) Validate() error {
	if m.Action != Reject && m.Action != Count {
		return &appliance.AttrError{Attr: "action", Msg: fmt.Sprintf("is %q; write %q or %q", m.Action, Reject, Count)}
	}
	if len(m.Words) == 0 {
		return &appliance.AttrError{Attr: "words", Msg: `is empty; name at least one word, such as "CONFIDENTIAL"`}
	}
	for _, w := range m.Words {
		if strings.TrimSpace(w) == "" {
			return &appliance.AttrError{Attr: "words", Msg: "holds an empty word, which would mark every message"}
		}
	}
	_, err := domains(m.Inside)
	return err
}

// domains writes each domain as mailboxes have it: lower case, A-labels.
func domains(list []string) ([]string, error) {
	var all []string
	for _, s := range list {
		d, err := appliance.ParseDomain(s)
		if err != nil {
			return nil, &appliance.AttrError{Attr: "inside", Msg: `needs domains, such as "example.com"`, Err: err}
		}
		all = append(all, d)
	}
	return all, nil
}

// Provision implements appliance.Module: it makes the instance ready, without
// running anything.
func (m *Markings) Provision(ctx *appliance.Context) (err error) {
	if m.inside, err = domains(m.Inside); err != nil {
		return err
	}
	m.pattern = regexp.MustCompile(expression(m.Words))
	m.found = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_markings_found_total",
		Help: "Messages to recipients outside whose Subject is marked.",
	})
	return ctx.Metrics.Register(m.found)
}

// expression matches each of the words, as whole words and with any white
// space between their parts.
func expression(words []string) string {
	var all []string
	for _, w := range words {
		parts := strings.Fields(w)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		all = append(all, strings.Join(parts, `\s+`))
	}
	return `(?i)(?:^|[^\pL\pN])(?:` + strings.Join(all, "|") + `)(?:$|[^\pL\pN])`
}

// Stages implements appliance.Check: there is a Subject when the content is
// complete.
func (m *Markings) Stages() appliance.Stage { return appliance.AtContent }

// Inspect implements appliance.Check. It may run for many messages at once,
// and changes nothing.
func (m *Markings) Inspect(_ context.Context, _ appliance.Stage, tx *appliance.Transaction) (appliance.Verdict, error) {
	if !m.leaves(&tx.Envelope) || !m.marked(&tx.Message.Header) {
		return appliance.Verdict{}, nil
	}
	m.found.Inc()
	if m.Action == Count {
		return appliance.Verdict{}, nil
	}
	// The text goes to the sender: it says what to do.
	return appliance.Verdict{Refuse: appliance.NewReply(550, 7, 1,
		"The Subject marks this message as internal; remove the recipients outside, or the marking")}, nil
}

func (m *Markings) leaves(env *appliance.Envelope) bool {
	return slices.ContainsFunc(env.Recipients, func(r appliance.Recipient) bool {
		return !slices.Contains(m.inside, r.Mailbox.Domain)
	})
}

func (m *Markings) marked(h *appliance.Header) bool {
	return slices.ContainsFunc(h.Values("Subject"), func(subject string) bool {
		return m.pattern.MatchString(decode(subject))
	})
}

// decode undoes RFC 2047. Of an unknown charset, the ASCII part is enough to
// find a word in.
func decode(subject string) string {
	d := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	if plain, err := d.DecodeHeader(subject); err == nil {
		return plain
	}
	return subject
}
