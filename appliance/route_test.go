package appliance

import (
	"context"
	"strings"
	"testing"
)

// when is a Condition that needs no content.
type when func(*Facts) (bool, error)

func (w when) Match(f *Facts) (bool, error) { return w(f) }
func (when) NeedsContent() bool             { return false }

// whenContent is a Condition on the header.
type whenContent func(*Facts) (bool, error)

func (w whenContent) Match(f *Facts) (bool, error) { return w(f) }
func (whenContent) NeedsContent() bool             { return true }

func domainIs(d string) when {
	return func(f *Facts) (bool, error) { return f.Recipient.Domain == d, nil }
}

func subjectIs(s string) whenContent {
	return func(f *Facts) (bool, error) {
		return f.Header.Get("Subject") == s && f.Recipient.Local != "immune", nil
	}
}

func text(t *testing.T, s string) *ReplyText {
	t.Helper()
	r := new(ReplyText)
	if err := r.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoutes(t *testing.T) {
	p := &Pipeline{Routes: []Route{
		{When: domainIs("invalid"), Reject: text(t, "550 5.1.2 No such domain")},
		{When: subjectIs("spam"), Reject: text(t, "554 5.7.1 No spam")},
		{When: subjectIs("news"), Relay: relay("bulk")},
		{When: domainIs("corp.example"), Relay: relay("corp")},
		{When: domainIs("corp.example"), Reject: text(t, "550 never reached")},
	}}
	b := open(t, p)
	subject := func(s string) string { return "From: a@example.org\r\nSubject: " + s + "\r\n\r\n" }
	for _, c := range []struct {
		name, content, to string
		want              string // destinations, or a reply
	}{
		{"default", subject("x"), "u@y.example", "out/y.example"},
		{"by recipient", subject("x"), "u@corp.example", "corp/corp.example"},
		{"content goes first if it stands first", subject("news"), "u@corp.example", "bulk/corp.example"},
		{"two destinations", subject("x"), "u@corp.example v@y.example w@corp.example", "corp/corp.example out/y.example"},
		{"refused at RCPT", subject("x"), "u@invalid", "550 5.1.2 No such domain"},
		{"refused for the content", subject("spam"), "u@y.example v@corp.example", "554 5.7.1 No spam"},
		// One recipient gets it, so SMTP has no reply for the other: it is bounced.
		{"refused for one", subject("spam"), "u@y.example immune@y.example", " out/y.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.got = nil
			err := b.send(user(), "a@example.org", c.content, strings.Fields(c.to)...)
			if err != nil {
				wantReply(t, err, c.want)
				return
			}
			var got []string
			for _, d := range b.got[0].Deliveries {
				got = append(got, d.Destination)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("destinations %q, want %q", got, c.want)
			}
		})
	}
}

// TestRouteFails is P8: nobody knows where the recipient belongs, so it waits.
func TestRouteFails(t *testing.T) {
	fail := func(*Facts) (bool, error) { return false, errLocal }
	for _, w := range []Condition{when(fail), whenContent(fail)} {
		b := open(t, &Pipeline{Routes: []Route{{When: w, Relay: relay("x")}}})
		wantReply(t, b.send(user(), "a@example.org", plain, "u@y.example"), "451 4.3.5")
	}
}

// TestFacts: what a condition is told, at RCPT and when the content is there.
func TestFacts(t *testing.T) {
	var seen []Facts
	look := when(func(f *Facts) (bool, error) { seen = append(seen, *f); return false, nil })
	b := open(t, &Pipeline{Routes: []Route{{When: look, Relay: relay("x")}}})
	ctx := context.Background()
	tx, err := b.Mail(ctx, user(), Envelope{From: box(t, "a@example.org"), Size: 42})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Rcpt(ctx, tx, Recipient{Mailbox: box(t, "u@y.example")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Data(ctx, tx, strings.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	before, after := seen[0], seen[1]
	if before.Header != nil || before.Size != 42 || before.Attempt != 1 || before.Client != "192.0.2.1" || before.User != "app" ||
		before.Sender != box(t, "a@example.org") || before.Recipient != box(t, "u@y.example") {
		t.Errorf("at RCPT: %+v", before)
	}
	if after.Header == nil || after.Header.Get("Subject") != "x" || after.Size != int64(len(b.bytes[0])) {
		t.Errorf("with the content: %+v", after)
	}
	a := b.got[0]
	leased := &Leased{Envelope: a.Envelope, Origin: a.Origin, Message: Message{Header: a.Header}, Delivery: Delivery{Attempts: 2}}
	d, err := b.Route(leased, box(t, "v@z.example"), 99)
	if err != nil || d.Destination != "out/z.example" || d.Relay.Addr().Name != "out" {
		t.Errorf("Route: %+v, %v", d, err)
	}
	if f := seen[2]; f.Attempt != 3 || f.Size != 99 || f.User != "app" || f.Client != "192.0.2.1" || f.Header.Get("Subject") != "x" {
		t.Errorf("in the queue: %+v", f)
	}
}
