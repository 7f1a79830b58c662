package dsn

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxDigestNames is how many recipients a digest names.
	maxDigestNames = 100
	// maxDigestSaid is what it repeats of a reply, in octets.
	maxDigestSaid = 200
	// maxDigestCauses is how many causes it counts apart.
	maxDigestCauses = 50
)

// A Digest is one message instead of many reports: it says what became of the
// messages of one sender after so many of them had failed that each further
// report would be one too many. It grows with the failures, but not without
// end: it names the first recipients, and counts them all.
type Digest struct {
	Sender     appliance.Mailbox // whose messages they are
	Began      time.Time         // of the time that it covers
	RequireTLS bool              // one of the messages required TLS, so it does too (RFC 8689, section 5)
	messages   int
	recipients int
	causes     []cause
	named      int
	lines      []string // about those that are named
}

// A cause is an enhanced status code and the domain that it is about.
type cause struct {
	status, domain string
	count          int
}

// Add counts a message and its failed recipients.
func (d *Digest) Add(id appliance.QueueID, failed []Recipient) {
	d.messages++
	d.recipients += len(failed)
	b := builder{Report: Report{Action: Failed}}
	for _, r := range failed {
		status := b.statusOf(r)
		d.count(status, r.Mailbox.Domain)
		if d.named < maxDigestNames {
			d.named++
			said := cmp.Or(diagnostic(&r.Result.Reply), status)
			said = said[:min(len(said), maxDigestSaid)]
			d.lines = append(d.lines, fmt.Sprintf("%s  %s", id, oneLine(r.Mailbox.Path())))
			d.lines = append(d.lines, wrap("    "+oneLine(said))...)
		}
	}
}

func (d *Digest) count(status, domain string) {
	i := slices.IndexFunc(d.causes, func(c cause) bool { return c.status == status && c.domain == domain })
	if i < 0 && len(d.causes) == maxDigestCauses {
		i = maxDigestCauses - 1 // the last one stands for all that follow
		d.causes[i].status, d.causes[i].domain = "", ""
	}
	if i < 0 {
		d.causes = append(d.causes, cause{status: status, domain: domain})
		i = len(d.causes) - 1
	}
	d.causes[i].count++
}

// Build writes the digest as [appliance.Pipeline.Report] takes it, to the
// sender and, if there is one, to postmaster. It is text for people and no RFC
// 3464 report, which is about one message; but it has a null reverse-path and
// NOTIFY=NEVER as those. Of r it takes who writes it, and when.
func (d *Digest) Build(r Report, postmaster appliance.Mailbox) (appliance.Envelope, appliance.Header, []byte) {
	to := []appliance.Mailbox{d.Sender}
	if !postmaster.IsNull() && postmaster != d.Sender {
		to = append(to, postmaster)
	}
	env := appliance.Envelope{RequireTLS: d.RequireTLS}
	for _, m := range to {
		env.SMTPUTF8 = env.SMTPUTF8 || !m.IsASCII()
		env.Recipients = append(env.Recipients, appliance.Recipient{Mailbox: m, Notify: appliance.NotifyNever})
	}
	b := builder{Report: r}
	p := part{content: []byte(d.text(r.Hostname)), mediaType: "text/plain; charset=utf-8", description: "Notification"}
	h := b.digestHeader(d, to)
	var body bytes.Buffer
	b.write(&body, p)
	fields, content, _ := bytes.Cut(body.Bytes(), []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(fields), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		h.Append(appliance.NewField(name, value))
	}
	return env, h, append([]byte("\r\n"), content...)
}

func (b *builder) digestHeader(d *Digest, to []appliance.Mailbox) appliance.Header {
	var h appliance.Header
	add := func(name, value string) { h.Append(appliance.NewField(name, value)) }
	add("Date", b.Time.Format(time.RFC1123Z))
	add("From", fmt.Sprintf("Mail Delivery System <MAILER-DAEMON@%s>", b.domain()))
	for i, m := range to {
		add([]string{"To", "Cc"}[i], m.Path())
	}
	add("Subject", counted(d.messages, "message")+" could not be delivered")
	add("Message-ID", fmt.Sprintf("<%s@%s>", b.MessageID, b.domain()))
	add("Auto-Submitted", "auto-generated") // RFC 3834, section 5
	add("MIME-Version", "1.0")
	return h
}

func (d *Digest) text(hostname string) string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\r\n", args...) }

	line("This is the mail server %s.", hostname)
	line("")
	line("%s could not be delivered, to %s, since", counted(d.messages, "message"), counted(d.recipients, "recipient"))
	line("%s. Their sender is", d.Began.Format(time.RFC1123Z))
	line("%s.", oneLine(d.Sender.Path()))
	line("")
	line("So many have failed that they are told in one message, and not in a report")
	line("for each. They will not be tried again.")
	line("")
	line("How many, why (RFC 3463), and where:")
	line("")
	for _, c := range d.sorted() {
		line("  %7d  %s", c.count, c.name())
	}
	line("")
	line("The first of them, with the queue id by which the log knows each message:")
	line("")
	for _, s := range d.lines {
		line("%s", s)
	}
	return out.String()
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// sorted has the most frequent cause first.
func (d *Digest) sorted() []cause {
	all := slices.Clone(d.causes)
	slices.SortStableFunc(all, func(a, b cause) int { return cmp.Compare(b.count, a.count) })
	return all
}

func (c cause) name() string {
	if c.status == "" {
		return "others"
	}
	return c.status + "  " + oneLine(c.domain)
}
