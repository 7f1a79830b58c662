package smtpserver

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestC11_Addresses: what RCPT takes and refuses, on a listener whose clients
// may relay, so that the grammar alone decides. G8: quotes stay.
func TestC11_Addresses(t *testing.T) {
	local64, label63 := strings.Repeat("l", 64), strings.Repeat("d", 63)
	cases := []struct{ arg, want string }{
		{"<u@th.example>", "250 2.1.5"},
		{" <u@th.example>", "250 2.1.5"}, // a common sin
		{"<U@TH.Example>", "250 2.1.5"},
		{"<" + local64 + "@th.example>", "250 2.1.5"},
		{"<x" + local64 + "@th.example>", "501 5.1.3"},
		{"<u@" + label63 + "." + label63 + "." + label63 + ">", "250 2.1.5"},
		{"<u@" + label63 + "." + label63 + "." + label63 + "." + label63 + ">", "501 5.1.3"},
		{"<u@" + label63 + "d.example>", "501 5.1.3"},
		{"<u@a..example>", "501 5.1.3"},
		{"<u@.example>", "501 5.1.3"},
		{"<u@th.example.>", "501 5.1.3"},
		{"<a..b@th.example>", "501 5.1.3"},
		{"<.a@th.example>", "501 5.1.3"},
		{"<a.@th.example>", "501 5.1.3"},
		{"<a@b", "501 5.1.3"},
		{"a@b>", "501 5.1.3"},
		{"a@th.example", "501 5.1.3"},
		{"<a@th.example>junk", "501 5.1.3"},
		{"<a@th.example>,<b@th.example>", "501 5.1.3"},
		{"<a@th.example> <b@th.example>", "501 5.5.4"},
		{"<<a@th.example>>", "501 5.1.3"},
		{"<>", "501 5.1.3"},
		{"", "501 5.1.3"},
		{"<@th.example>", "501 5.1.3"},
		{"<u@>", "501 5.1.3"},
		{"<u>", "501 5.1.3"},
		{"<u@th.example:2025>", "501 5.1.3"},
		{"<u@a@b.example>", "501 5.1.3"},
		{"<@r1.example,@r2.example:u@th.example>", "501 5.1.3"},
		{"<u@[192.0.2.1]>", "250 2.1.5"},
		{"<u@[IPv6:2001:db8::1]>", "250 2.1.5"},
		{"<u@[IPv6:::zz]>", "501 5.1.3"},
		{"<u@[300.0.0.1]>", "501 5.1.3"},
		{"<u@192.0.2.1>", "501 5.1.3"},
		{"<u@0x7f000001>", "501 5.1.3"},
		{`<"quoted sp"@th.example>`, "250 2.1.5"},
		{`<"a>b"@th.example>`, "250 2.1.5"},
		{`<"u@d"@th.example>`, "250 2.1.5"},
		{`<"a\\"b"@th.example>`, "250 2.1.5"},
		{`<""@th.example>`, "501 5.1.3"},
		{`<"a"b@th.example>`, "501 5.1.3"},
		{`<"a@th.example>`, "501 5.1.3"},
		{"<u(comment)@th.example>", "501 5.1.3"},
		{"<u@th.example (comment)>", "501 5.1.3"},
		{"<u @th.example>", "501 5.1.3"},
		{"<-@xn--mller-kva.example>", "250 2.1.5"},
		{"<u@xn--0.example>", "<<(250 2.1.5|501 5.1.3)"},
		{`<u@th.example\0>`, "501 5.1.3"},
		{`<u\0@th.example>`, "501 5.1.3"},
		{`<u\r@th.example>`, "501 5.1.3"},
	}
	t.Attr("tried", strconv.Itoa(len(cases)))
	for _, c := range cases {
		r := start(t, trusting)
		prefix := c.want
		if !strings.Contains(prefix, "<<") {
			prefix += " <<"
		}
		r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<>\nS: 250 <<.*\nC: RCPT TO:"+c.arg+"\nS: "+prefix+".*\n")
		if t.Failed() {
			t.Fatalf("at RCPT TO:%s", c.arg)
		}
		r.stop(t)
	}
}

// TestG8_Quotes: a quoted local part reaches the pipeline unquoted, and leaves
// it quoted again; two spellings of a domain are one.
func TestG8_Quotes(t *testing.T) {
	r := start(t, trusting)
	r.talk(t, `S: 220 <<.*
C: EHLO c
S: 250 <<.*
C: MAIL FROM:<"a b"@Sender.Example> SMTPUTF8
S: 250 <<.*
C: RCPT TO:<"u@d"@local.test>
S: 250 <<.*
C: RCPT TO:<"plain"@local.test>
S: 250 <<.*
C: RCPT TO:<plain@local.test>
S: 250 <<.*
C: RCPT TO:<u@m\xc3\xbcller.example>
S: 250 <<.*
C: RCPT TO:<u@XN--MLLER-KVA.example>
S: 250 <<.*
C: DATA
S: 354 <<.*
C: .
S: 250 <<.*
from: "a b"@sender.example
to: "u@d"@local.test plain@local.test u@xn--mller-kva.example
`)
}

// TestRelayMatrix: from a stranger, through the real pipeline, nothing for a
// third party gets in.
func TestRelayMatrix(t *testing.T) {
	froms := []string{"<>", "<a@th.example>", "<a@local.test>", "<a@[127.0.0.1]>", "<a>", "<a@localhost>", `<"">`}
	tos := []string{
		"<u@th.example>", "<u%th.example@local.test.evil>", "<u%th.example@[127.0.0.1]>", `<"u@th.example"@evil.test>`,
		`<"u@th.example">`, `<"u%th.example">`, "<u@th.example@local.test>", "<u@local.test@th.example>",
		"<u@th.example@[127.0.0.1]>", `<"u@th.example"@[127.0.0.1]>`, "<@local.test:u@th.example>",
		"<@[127.0.0.1]:u@th.example>", "<@local.test,@x.example:u@th.example>", "<th.example!u>", "<th.example!u@[127.0.0.1]>",
		"<u@th.example%local.test>", "<u@local.test.th.example>", "<u@th.example.>", "<u@[192.0.2.1]>", "<u@TH.EXAMPLE>",
		"<u@th.example (comment)>", "<u@th.example>,<u@local.test>", `<u@local.test\0@th.example>`, `<u@m\xc3\xbcller.example>`,
		`<u\xef\xbc\xa0th.example>`, "<u@xlocal.test>", "<u@local.testx>", "<u@ local.test>", "u@th.example",
	}
	t.Attr("tried", strconv.Itoa(len(wires)*len(froms)*len(tos)))
	for _, w := range wires {
		relaysNothing(t, froms, tos, w.opt)
	}
}

// relaysNothing tries each recipient after each sender, whole and octet by
// octet, and then DATA.
func relaysNothing(t *testing.T, froms, tos []string, opt func(*options)) {
	t.Helper()
	r := start(t, opt, func(o *options) { o.set.MaxErrors = 1000 })
	for i, from := range froms {
		var b strings.Builder
		fmt.Fprintf(&b, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:%s\nS: <<.*\n", from)
		for _, to := range tos {
			fmt.Fprintf(&b, "C: RCPT TO:%s\nS: <<(5[0-9][0-9] 5[.](7[.]1|1[.][0-9]|5[.][0-9]|6[.]7)|503 5[.]5[.]1) .*\n", to)
		}
		b.WriteString("C: DATA\nS: <<(554|503) .*\n")
		d := r.dialogue()
		d.Split = i%2 == 1
		if err := d.Run(b.String()); err != nil {
			t.Errorf("from %s: %v", from, err)
		}
	}
	if got := r.Spool.Messages(); len(got) != 0 {
		t.Errorf("%d messages were accepted", len(got))
	}
}

// TestRelayMatrix_Local: local parts that look like routes are ours to judge
// when the domain is ours: they are taken for what they are, and not relayed.
func TestRelayMatrix_Local(t *testing.T) {
	for _, to := range []string{`"u@th.example"@local.test`, `"u%th.example"@local.test`, `u%th.example@local.test`, `th.example!u@local.test`} {
		r := start(t)
		r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<a@th.example>\nS: 250 <<.*\nC: RCPT TO:<"+to+
			">\nS: 250 <<.*\nC: DATA\nS: 354 <<.*\nC: .\nS: 250 <<.*")
		for _, m := range r.Spool.Messages() {
			for _, rcpt := range m.Envelope.Recipients {
				if rcpt.Mailbox.Domain != "local.test" {
					t.Errorf("%s: goes to %s", to, rcpt.Mailbox)
				}
			}
		}
		r.stop(t)
	}
}

// TestC10_Decoded: what DSN parameters say, decoded.
func TestC10_Decoded(t *testing.T) {
	r := start(t)
	r.talk(t, `S: 220 <<.*
C: EHLO c
S: 250 <<.*
C: MAIL FROM:<a@sender.example> RET=hdrs ENVID=a+2Bb SIZE=42 BODY=8BITMIME
S: 250 <<.*
C: RCPT TO:<b@local.test> NOTIFY=SUCCESS,delay ORCPT=RFC822;b+2Bc@old.example
S: 250 <<.*
C: RCPT TO:<c@local.test> NOTIFY=never
S: 250 <<.*
C: DATA
S: 354 <<.*
C: .
S: 250 <<.*`)
	got := r.Spool.Messages()[0].Envelope
	if got.Return != "HDRS" || got.EnvelopeID != "a+b" || got.Size != 42 || !got.EightBit || got.SMTPUTF8 {
		t.Errorf("%+v", got)
	}
	first, second := got.Recipients[0], got.Recipients[1]
	if first.Original != "rfc822;b+c@old.example" || first.Notify != appliance.NotifySuccess|appliance.NotifyDelay {
		t.Errorf("%+v", first)
	}
	if second.Original != "" || second.Notify != appliance.NotifyNever {
		t.Errorf("%+v", second)
	}
}

// FuzzEnvelope: whatever stands behind MAIL and RCPT, what is accepted holds no
// control character, and is read back as itself.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{
		"<a@b.example>", `<"a b"@b.example> SIZE=1`, "<> RET=FULL ENVID=a+2Bb", "<postmaster>",
		"<a@b.example> NOTIFY=NEVER ORCPT=rfc822;a+20b", `<"\"@b.example>`, "<a@b.example> SMTPUTF8 BODY=8BITMIME AUTH=<>",
		"<m\xc3\xbcller@b.example> SMTPUTF8", "<a@[IPv6:::1]>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\n") {
			return // ends the line
		}
		if env, err := parseMail("FROM:"+s, true); err == nil {
			checkMailbox(t, env.From)
			checkText(t, env.EnvelopeID)
			if !env.SMTPUTF8 && !env.From.IsASCII() {
				t.Errorf("%q without SMTPUTF8", env.From)
			}
		}
		if to, err := parseRcpt("TO:"+s, true); err == nil {
			checkMailbox(t, to.Mailbox)
			checkText(t, to.Original)
		}
	})
}

func checkMailbox(t *testing.T, m appliance.Mailbox) {
	t.Helper()
	checkText(t, m.String())
	if m.IsNull() {
		return
	}
	again, err := appliance.ParseMailbox(m.String())
	if err != nil || again != m {
		t.Errorf("%q is read back as %q, %v", m, again, err)
	}
}

func checkText(t *testing.T, s string) {
	t.Helper()
	if strings.ContainsAny(s, "\r\n\x00") || !printableUTF8(s) {
		t.Errorf("%q", s)
	}
}
