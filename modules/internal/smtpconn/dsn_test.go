package smtpconn

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestNotifies: a server that offers DSN is asked for the reports, and it says
// so in the results of those it took (RFC 3461, sections 5.2.1 and 5.2.2).
func TestNotifies(t *testing.T) {
	const rest = "C= DATA\nS: 354 go on\nCONTENT\nS: 250 2.0.0 ok\n" + quit
	for _, tc := range []struct {
		name   string
		script script
		want   []bool
	}{
		{"DSN", quick + "C= MAIL FROM:<from@a.test> SIZE=21 RET=HDRS ENVID=4711\n" +
			"C= RCPT TO:<one@b.test> NOTIFY=SUCCESS ORCPT=rfc822;uno@b.test\nC= RCPT TO:<two@b.test>\n" +
			"S: 250 ok\nS: 250 ok\nS: 550 no\n" + rest, []bool{true, false}},
		{"no DSN", plain + "C= MAIL FROM:<from@a.test>\nS: 250 ok\nC= RCPT TO:<one@b.test>\nS: 250 ok\n" +
			"C= RCPT TO:<two@b.test>\nS: 550 no\n" + rest, []bool{false, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.script)
			env := envelope("one@b.test", "two@b.test")
			env.Return, env.EnvelopeID = "HDRS", "4711"
			env.Recipients[0].Notify, env.Recipients[0].Original = appliance.NotifySuccess, "rfc822;uno@b.test"
			rs := pool(t).Deliver(t.Context(), env, simple, targets(s.target()))
			check(t, rs, "250 2.0.0 remote, 550 5.0.0 remote")
			if diff := cmp.Diff(tc.want, []bool{rs[0].Notifies, rs[1].Notifies}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDeclared: what a client declared beyond need does not keep its message
// from servers that know ASCII only: RFC 6531, section 3.4, and RFC 6152 want
// the extension for what the message really is.
func TestDeclared(t *testing.T) {
	const (
		ascii = "Subject: x\r\n"
		text  = "\r\nhello\r\n"
	)
	for _, tc := range []struct {
		name         string
		header, body string
		from         string
		want         string // MAIL to a server with all extensions
		refused      string // by one with none
	}{
		{"nothing of it is needed", ascii, text, "from@a.test", "MAIL FROM:<from@a.test>", ""},
		{"8-bit text", ascii, "\r\nna\u00efve\r\n", "from@a.test", "MAIL FROM:<from@a.test> BODY=8BITMIME SMTPUTF8", "5.6.3"},
		{"international header", "Subject: \u00fc\r\n", text, "from@a.test", "MAIL FROM:<from@a.test> BODY=8BITMIME SMTPUTF8", "5.6.3"},
		{"international sender", ascii, text, "f\u00fc@a.test", "MAIL FROM:<f\u00fc@a.test> SMTPUTF8", "5.6.7"},
		{"international domain", ascii, text, "from@b\u00fccher.test", "MAIL FROM:<from@xn--bcher-kva.test>", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := envelope("one@b.test")
			env.From, env.SMTPUTF8, env.EightBit = box(tc.from), true, true
			m, err := prepare(env, message(tc.header, tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.mailCommand(&extensions{eightBit: true, utf8: true}, []int{0}); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			refused := ""
			if r := m.refuse("mx.test", &extensions{}, false); r != nil {
				refused = r.Status()
			}
			if refused != tc.refused {
				t.Errorf("refused with %q, want %q", refused, tc.refused)
			}
		})
	}
	// 8-bit text is no reason to want SMTPUTF8 of a server.
	env := envelope("one@b.test")
	env.SMTPUTF8 = true
	m, err := prepare(env, message(ascii, "\r\nna\u00efve\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := m.refuse("mx.test", &extensions{eightBit: true}, false); r != nil {
		t.Error(r)
	}
}
