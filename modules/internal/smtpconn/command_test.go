package smtpconn

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestReadReply(t *testing.T) {
	for _, tc := range []struct {
		in, want string // want is code, detail and lines, or "" for an error
	}{
		{"250 ok\r\n", "250 {0 0} [ok]"},
		{"250\r\n", "250 {0 0} []"},
		{"250 \r\n", "250 {0 0} []"},
		{"250 ok\n", "250 {0 0} [ok]"},
		{"250-a\r\n250-b\r\n250 c\r\n", "250 {0 0} [a|b|c]"},
		{"550 5.1.1 no such user\r\n", "550 {1 1} [no such user]"},
		{"550-5.1.1 no such\r\n550 5.1.1 user\r\n", "550 {1 1} [no such|user]"},
		{"550 5.7.26\r\n", "550 {7 26} []"},
		{"250 5.1.1 mismatch\r\n", "250 {0 0} [5.1.1 mismatch]"},
		{"550 5.1.1111 too long\r\n", "550 {0 0} [5.1.1111 too long]"},
		{"550 5..1 empty\r\n", "550 {0 0} [5..1 empty]"},
		{"550 127.0.0.1 is listed\r\n", "550 {0 0} [127.0.0.1 is listed]"},
		{"550 \x00\x1b[31mred\x7f\r\n", "550 {0 0} [??[31mred?]"},
		{"550 na\xc3\xafve\t\xff\r\n", "550 {0 0} [na?ve ?]"},
		{"250-a\r\n550 b\r\n", ""},
		{"25 ok\r\n", ""},
		{"250ok\r\n", ""},
		{"\r\n", ""},
		{"260 second digit\r\n", ""},
		{"25x ok\r\n", ""},
		{"600 ok\r\n", ""},
		{"100 ok\r\n", ""},
		{"250-" + strings.Repeat("x", maxReplyLine) + "\r\n", ""},
		{strings.Repeat("250-x\r\n", maxReplyLines) + "250 x\r\n", ""},
		{strings.Repeat("250-"+strings.Repeat("x", 4000)+"\r\n", 17) + "250 x\r\n", ""},
		{"250-unfinished\r\n", ""},
	} {
		r, err := readReply(bufio.NewReaderSize(strings.NewReader(tc.in), maxReplyLine))
		got := ""
		if err == nil {
			got = fmt.Sprintf("%d %v [%s]", r.code, r.detail, strings.Join(r.lines, "|"))
		}
		if got != tc.want {
			t.Errorf("%.60q: %s (%v), want %s", tc.in, got, err, tc.want)
		}
	}
}

// FuzzReadReply: a reply costs its bounds at most and is harmless text.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 x\r\n", "\x00\r\n", "250-\r\n251 \r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := readReply(bufio.NewReaderSize(strings.NewReader(in), maxReplyLine))
		if err != nil {
			return
		}
		o := r.outcome()
		if o.Code < 200 || o.Code > 559 || len(o.Text) > maxReplyText {
			t.Fatalf("%q: %+v", in, o)
		}
		if strings.ContainsFunc(o.Text, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }) {
			t.Fatalf("%q: text %q", in, o.Text)
		}
	})
}

func TestG22Extensions(t *testing.T) {
	got := parseExtensions([]string{"mx.test SIZE", "starttls", "PipeLining", "size 1000", "Chunking", "8bitmime", "SMTPutf8", "dsn",
		"AUTH plain LOGIN", "AUTH=CRAM-MD5", "requiretls", "X-NEW thing", ""})
	want := extensions{pipelining: true, sizes: true, size: 1000, eightBit: true, utf8: true, dsn: true, chunking: true, startTLS: true,
		requireTLS: true, auth: []string{"PLAIN", "LOGIN", "CRAM-MD5"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(extensions{})); diff != "" {
		t.Error(diff)
	}
}

// TestCommands: what of the envelope goes to a server that offers everything,
// and to one that offers nothing.
func TestCommands(t *testing.T) {
	all := extensions{sizes: true, eightBit: true, utf8: true, dsn: true}
	env := envelope("one@b.test", "two@b.test", "three@b.test", "four@b.test", "five@b.test", "j\u00fcrgen@b.test")
	env.Return, env.EnvelopeID = "HDRS", "a+b=c d\r\n"
	env.Recipients[0].Notify = appliance.NotifySuccess | appliance.NotifyDelay
	env.Recipients[1].Notify = appliance.NotifyNever
	env.Recipients[2].Original = "rfc822;x+y@b.test\r\nRCPT TO:<evil@b.test>"
	env.Recipients[3].Original = "utf-8;j\u00fcrgen@b.test"
	env.Recipients[4].Original = "bad type;x"
	m, err := prepare(env, message("Subject: x\r\n", "\r\nna\u00efve\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range []*extensions{&all, {}} {
		got = append(got, m.mailCommand(e, []int{0}))
		for i := range env.Recipients {
			got = append(got, m.rcptCommand(e, i))
		}
	}
	got = append(got, m.mailCommand(&all, []int{0, 5}))
	want := []string{
		"MAIL FROM:<from@a.test> SIZE=22 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+3Dc+20d+0D+0A",
		"RCPT TO:<one@b.test> NOTIFY=SUCCESS,DELAY",
		"RCPT TO:<two@b.test> NOTIFY=NEVER",
		"RCPT TO:<three@b.test> ORCPT=rfc822;x+2By@b.test+0D+0ARCPT+20TO:<evil@b.test>",
		`RCPT TO:<four@b.test> ORCPT=utf-8;j\x{FC}rgen@b.test`,
		"RCPT TO:<five@b.test>",
		"RCPT TO:<j\u00fcrgen@b.test>",
		"MAIL FROM:<from@a.test>",
		"RCPT TO:<one@b.test>",
		"RCPT TO:<two@b.test>",
		"RCPT TO:<three@b.test>",
		"RCPT TO:<four@b.test>",
		"RCPT TO:<five@b.test>",
		"RCPT TO:<j\u00fcrgen@b.test>",
		"MAIL FROM:<from@a.test> SIZE=22 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+3Dc+20d+0D+0A",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestH12: what a server cannot take is not sent to it.
func TestH12(t *testing.T) {
	utf8 := func(e appliance.Envelope) appliance.Envelope { e.SMTPUTF8 = true; return e }
	requireTLS := func(e appliance.Envelope) appliance.Envelope { e.RequireTLS = true; return e }
	same := func(e appliance.Envelope) appliance.Envelope { return e }
	const taken = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nCONTENT\nS: 250 ok\n"
	for _, tc := range []struct {
		name         string
		header, body string
		to           []string
		change       func(appliance.Envelope) appliance.Envelope
		ext          script
		want         string
	}{
		{"G23 8-bit body, no 8BITMIME", "", "\r\n\xe9\r\n", []string{"one@b.test"}, same, "", "554 5.6.3"},
		{"8-bit header, no 8BITMIME", "Subject: \xe9\r\n", "\r\n", []string{"one@b.test"}, same, "", "554 5.6.3"},
		{"declared 8-bit, but is not", "", "\r\nx\r\n", []string{"one@b.test"}, func(e appliance.Envelope) appliance.Envelope { e.EightBit = true; return e }, taken, "250 2.0.0 remote"},
		{"declared SMTPUTF8, but is not", "", "\r\nx\r\n", []string{"one@b.test"}, utf8, taken, "250 2.0.0 remote"},
		{"one recipient needs SMTPUTF8", "", "\r\nx\r\n", []string{"one@b.test", "j\u00fc@b.test"}, same, taken, "250 2.0.0 remote, 553 5.6.7"},
		{"sender needs SMTPUTF8", "", "\r\nx\r\n", []string{"one@b.test"},
			func(e appliance.Envelope) appliance.Envelope { e.From = box("j\u00fc@a.test"); return e }, "", "553 5.6.7"},
		{"REQUIRETLS in plain text", "", "\r\nx\r\n", []string{"one@b.test"}, requireTLS, "", "550 5.7.30"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, plain+tc.ext+quit)
			rs := pool(t).Deliver(t.Context(), tc.change(envelope(tc.to...)), message(tc.header, tc.body), targets(s.target()))
			check(t, rs, tc.want)
		})
	}
	t.Run("international header, 8BITMIME only", func(t *testing.T) {
		s := serve(t, hello+"S: 250-mx.test\nS: 250 8BITMIME\n"+quit)
		check(t, pool(t).Deliver(t.Context(), utf8(envelope("one@b.test")), message("Subject: \u00fc\r\n", "\r\n"), targets(s.target())), "554 5.6.9")
	})
}

// TestH1: an address with a line break cannot come from a parser; made by
// hand it does not pass either.
func TestH1(t *testing.T) {
	env := envelope("one@b.test")
	env.Recipients[0].Mailbox.Local = "a>\r\nRCPT TO:<b"
	s := serve(t, quick+"HANG")
	check(t, pool(t).Deliver(t.Context(), env, simple, targets(s.target())), "451 4.3.0")
}

func TestTranscript(t *testing.T) {
	var l transcript
	l.client("EHLO x")
	for range 1000 {
		l.server("250 " + strings.Repeat("x", 100))
	}
	l.client("QUIT")
	got := l.String()
	if len(got) > maxTranscript+200 || !strings.HasPrefix(got, "C: EHLO x\n") || !strings.HasSuffix(got, "C: QUIT\n") || !strings.Contains(got, "-- …\n") {
		t.Errorf("%d octets: %.40q … %q", len(got), got, got[len(got)-40:])
	}
	l.reset()
	if l.String() != "" {
		t.Error("not empty after reset")
	}
}
