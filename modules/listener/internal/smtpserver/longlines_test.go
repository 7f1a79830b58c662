package smtpserver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// A witness is a check and a signer that keeps the body it is shown.
type witness struct{ inspected, signed string }

func (*witness) Provision(*appliance.Context) error { return nil }
func (*witness) Stages() appliance.Stage            { return appliance.AtContent }

func (w *witness) Inspect(_ context.Context, _ appliance.Stage, tx *appliance.Transaction) (v appliance.Verdict, err error) {
	w.inspected, err = bodyOf(tx)
	return v, err
}

func (w *witness) Modify(_ context.Context, tx *appliance.Transaction) (err error) {
	w.signed, err = bodyOf(tx)
	tx.SignedBy = append(tx.SignedBy, "local.test")
	return err
}

func bodyOf(tx *appliance.Transaction) (string, error) {
	r, err := tx.Message.Body.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func (w *witness) watching(h *appliancetest.House, _ *appliance.House) {
	addr := appliance.Addr{Kind: appliance.KindCheck, Name: "witness"}
	h.Pipeline.Checks = append(h.Pipeline.Checks, appliance.RefTo[appliance.Check](addr, w))
	h.Pipeline.Signers = append(h.Pipeline.Signers, appliance.RefTo[appliance.Modifier](addr, w))
}

// sent is a transaction with content, by DATA or in two chunks.
func sent(content string, chunks bool, reply string) string {
	const begin = "C: MAIL FROM:<a@sender.example>\nC: RCPT TO:<b@local.test>\n"
	if !chunks {
		return begin + "C: DATA\nS: 250 <<.*\nS: 250 <<.*\nS: 354 <<.*\nC> " + escape(content) + ".\\r\\n\nS: " + reply + "\n"
	}
	cut := len(content) / 2
	return begin + fmt.Sprintf("C> BDAT %d\\r\\n%sBDAT %d LAST\\r\\n%s\n", cut, escape(content[:cut]), len(content)-cut, escape(content[cut:])) +
		"S: 250 <<.*\nS: 250 <<.*\nS: <<(250 2.0.0 Chunk OK|550 5.6.0 .*)\nS: " + reply + "\n"
}

// TestLongLinesMended_H12: a message with a line that is too long is encoded
// after the checks and before the signers.
func TestLongLinesMended_H12(t *testing.T) {
	const head = "MIME-Version: 1.0\r\nContent-Type: text/html\r\n"
	long := "<p>" + strings.Repeat("long ", 10_000) + "</p>\r\n"
	for _, chunks := range []bool{false, true} {
		w := new(witness)
		r := start(t, within(w.watching))
		r.talk(t, "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n"+sent(head+"\r\n"+long, chunks, "250 <<.*"))
		all := r.Spool.Messages()
		if len(all) != 1 {
			t.Fatalf("chunks %t: %d messages", chunks, len(all))
		}
		if n := testutil.ToFloat64(r.srv.metrics.mended); n != 1 {
			t.Errorf("chunks %t: %v mended messages are counted", chunks, n)
		}
		if w.inspected != "\r\n"+long {
			t.Errorf("chunks %t: the check has seen %.100q", chunks, w.inspected)
		}
		if got := string(all[0].Body); got != w.signed || !strings.HasPrefix(got, "\r\n<p>long long ") || !strings.Contains(got, "=\r\n") {
			t.Errorf("chunks %t: the signer has seen %.100q, and what leaves is %.100q", chunks, w.signed, got)
		}
		if got := all[0].Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
			t.Errorf("chunks %t: the encoding is said to be %q", chunks, got)
		}
		if n := len(strings.ReplaceAll(string(all[0].Body), "=\r\n", "")); n != len(long)+2 {
			t.Errorf("chunks %t: %d octets are left of %d", chunks, n, len(long)+2)
		}
	}
}

// TestLongLinesRefused: what cannot be mended, or is not to be, is refused at
// its true end, and the session goes on.
func TestLongLinesRefused(t *testing.T) {
	long := strings.Repeat("x", 999) + "\r\n"
	refuse := func(o *options) { o.set.LongLines = longLinesRefuse }
	for name, c := range map[string]struct {
		opt            func(*options)
		content, reply string
	}{
		"refuse":         {refuse, "A: b\r\n\r\n" + long, "550 5.6.0 The message contains a line longer than 998 octets (RFC 5322, section 2.1.1); correct <<.*"},
		"header":         {implicit, "A: " + long + "\r\nx\r\n", "550 5.6.0 <<.*it is in a header.*"},
		"signed":         {implicit, "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + long + "--b--\r\n", "550 5.6.0 <<.*multipart/signed.*"},
		"a bare LF too":  {implicit, "A: b\r\n\r\n" + long + "a\nb\r\n", "550 5.6.0 The message contains a bare LF; <<.*"},
		"a NUL too":      {implicit, "A: b\r\n\r\n" + long + "a\x00b\r\n", "550 5.6.0 The message contains a NUL; <<.*"},
		"a bare CR long": {implicit, "A: b\r\n\r\n" + long[:999] + "\r" + long, "550 5.6.0 The message contains a bare CR; <<.*"},
	} {
		for _, chunks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, chunks), func(t *testing.T) {
				r := start(t, func(o *options) { c.opt(o); o.role = Role{} })
				script := "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n" + sent(c.content, chunks, c.reply)
				if chunks && (name == "refuse" || strings.Contains(name, "bare")) {
					script = strings.Replace(script, "S: "+c.reply+"\n", "S: <<(550 5.6.0|503 5.5.1) .*\n", 1)
				}
				r.talk(t, script+"C: QUIT\nS: 221 <<.*\nclose\naccepted: 0")
			})
		}
	}
}
