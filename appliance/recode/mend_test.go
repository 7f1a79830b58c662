package recode

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// lines ends the lines of a test with CRLF.
func lines(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// mending is content that is mended in any case.
type mending struct{ io.Reader }

func (mending) Mend(ctx context.Context, tx *appliance.Transaction) error { return Mend(ctx, tx) }

// through sends a message through a pipeline that mends it, and returns what is
// committed.
func through(t testing.TB, in string) (string, error) {
	t.Helper()
	h := appliancetest.NewHouse(t)
	box := appliance.Mailbox{Local: "a", Domain: "local.test"}
	tx, err := h.Pipeline.Mail(t.Context(), &appliance.Session{Trusted: "test"}, appliance.Envelope{From: box})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Pipeline.Rcpt(t.Context(), tx, appliance.Recipient{Mailbox: box}); err != nil {
		t.Fatal(err)
	}
	_, err = h.Pipeline.Data(t.Context(), tx, mending{strings.NewReader(in)})
	if n := h.Spool.Open(); n != 0 {
		t.Errorf("%d drafts are left", n)
	}
	if err != nil {
		return "", err
	}
	m := h.Spool.Messages()[0]
	m.Header.Remove(func(f appliance.Field) bool { return f.Name == "Received" })
	return string(m.Bytes()), nil
}

const (
	mimeHead = "MIME-Version: 1.0\n"
	text     = mimeHead + "Content-Type: text/plain; charset=utf-8\n"
	qp       = "Content-Transfer-Encoding: quoted-printable\n"
	b64      = "Content-Transfer-Encoding: base64\n"
)

// folded is s in lines of n octets, each but the last with end.
func folded(s string, n int, end string) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + end + "\n")
		s = s[n:]
	}
	return b.String() + s + "\n"
}

// TestMend_H12: a line that is too long is not any more, and whoever reads the
// message finds what was in it.
func TestMend_H12(t *testing.T) {
	x := strings.Repeat("x", 999)
	long, soft := x+"\n", folded(x, 75, "=")
	const alternative = mimeHead + "Content-Type: multipart/alternative; boundary=b\nContent-Transfer-Encoding: 8bit\n\n--b\n\nshort ü\n--b\nContent-Type: text/html\n"
	for _, c := range []struct{ name, in, want string }{
		{"998 octets", text + "\n" + long[1:], text + "\n" + long[1:]},
		{"text", text + "\nshort = sweet\n" + long, text + qp + "\nshort =3D sweet\n" + soft},
		{"7bit", text + "Content-Transfer-Encoding: 7bit\n\n" + long, text + qp + "\n" + soft},
		{"HTML", mimeHead + "Content-Type: text/html\n\n" + long, mimeHead + "Content-Type: text/html\n" + qp + "\n" + soft},
		{"no MIME", "Subject: x\n\n" + long, "Subject: x\n" + mimeHead + "Content-Type: text/plain; charset=us-ascii\n" + qp + "\n" + soft},
		{"no MIME, UTF-8", "A: b\n\nü\n" + long, "A: b\n" + mimeHead + "Content-Type: text/plain; charset=utf-8\n" + qp + "\n=C3=BC\n" + soft},
		{"no MIME, 8-bit", "A: b\n\n\xfc\n" + long, "A: b\n" + mimeHead + "Content-Type: text/plain; charset=unknown-8bit\n" + qp + "\n=FC\n" + soft},
		{"no MIME-Version", "Content-Type: text/html\n\n" + long, "Content-Type: text/html\n" + mimeHead + qp + "\n" + soft},
		{"no text", mimeHead + "Content-Type: application/json\n\n" + x, mimeHead + "Content-Type: application/json\n" + b64 + "\n" + folded(base64.StdEncoding.EncodeToString([]byte(x)), 76, "")},
		{"base64 in one line", text + b64 + "\n" + strings.Repeat("QUFB", 300) + "\n", text + b64 + "\n" + folded(strings.Repeat("QUFB", 300), 76, "")},
		{"long quoted-printable", text + qp + "\n" + strings.Repeat("=3D", 400) + "\n", text + qp + "\n" + folded(strings.Repeat("=3D", 400), 75, "=")},
		{"parts", alternative + "\n" + long + "--b--\n", alternative + qp + "\n" + soft + "--b--\n"},
		{"a message within", mimeHead + "Content-Type: message/rfc822\n\nSubject: y\n\n" + long, mimeHead + "Content-Type: message/rfc822\n\nSubject: y\n" + qp + "\n" + soft},
	} {
		got, err := through(t, lines(c.in))
		if diff := cmp.Diff(lines(c.want), got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

// TestMendFileNames: a name without quotes, which many programs write beside a
// file in one line, is no reason to refuse the file.
func TestMendFileNames(t *testing.T) {
	for _, name := range []string{"Offer 2026.pdf", "größe.pdf", "a;; x=y"} {
		in := lines(mimeHead + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/pdf; name=" + name + "\n" + b64 + "\n" +
			strings.Repeat("QUFB", 400) + "\n--b\nContent-Type: text/html; name=" + name + "\n\n" + strings.Repeat("x", 1200) + "\n--b--\n")
		out, err := through(t, in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var after ruler
		if after.measure([]byte(out)); after.long || strings.Count(out, "name="+name+"\r\n") != 2 {
			t.Errorf("%s has become\n%s", name, out)
		}
		if diff := same(in, out); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

// TestMendRefused: what would be something else afterwards is refused, and says
// why and what to do.
func TestMendRefused(t *testing.T) {
	long := strings.Repeat("x", 999) + "\n"
	const mixed = mimeHead + "Content-Type: multipart/mixed; boundary=b\n"
	for name, c := range map[string]struct {
		in  string
		why *Refusal
	}{
		"header":                 {"Subject: " + long + text + "\nx\n", errPlace},
		"header of a part":       {mixed + "\n--b\nX: " + long + "\nx\n--b--\n", errPlace},
		"endless header":         {mixed + "\n--b\nX: " + strings.Repeat("x", 20<<10) + "\n\nx\n--b--\n", errPlace},
		"preamble":               {mixed + "\n" + long + "--b\n\nx\n--b--\n", errPlace},
		"long preamble":          {mixed + "\n" + strings.Repeat("x", 40<<10) + "\n--b\n\nx\n--b--\n", errPlace},
		"signed":                 {mimeHead + "Content-Type: multipart/signed; boundary=b\n\n--b\n\n" + long + "--b--\n", errFrozen},
		"signed within":          {mixed + "\n--b\nContent-Type: multipart/signed; boundary=c\n\n--c\n\n" + long + "--c--\n--b--\n", errFrozen},
		"encrypted":              {mimeHead + "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\n" + long + "--b--\n", errFrozen},
		"DKIM":                   {"DKIM-Signature: v=1\n" + text + "\n" + long, errSigned},
		"ARC":                    {"ARC-Seal: i=1\n" + text + "\n" + long, errSigned},
		"no such boundary":       {mimeHead + "Content-Type: multipart/mixed; boundary=a/b\n\n--a/b\n\n" + long + "--a/b--\n", errFrozen},
		"two types":              {mimeHead + "Content-Type: text/plain; charset=a; charset=b\n\n" + long, errFrozen},
		"no such encoding":       {text + "Content-Transfer-Encoding: x-own\n\n" + long, errFrozen},
		"half of base64":         {text + b64 + "\n" + strings.Repeat("QUFB", 300) + "QU\n", errFrozen},
		"base64 and more":        {text + b64 + "\n" + strings.Repeat("QUFB", 300) + "QQ==QUFB\n", errFrozen},
		"no base64":              {text + b64 + "\n" + strings.Repeat("QU-B", 300) + "\n", errFrozen},
		"no quoted-printable":    {text + qp + "\n" + strings.Repeat("=3D", 400) + "=3\n", errFrozen},
		"8-bit quoted-printable": {text + qp + "\n" + strings.Repeat("=3D", 400) + "\xff\n", errFrozen},
		"half an escape":         {text + qp + "\n" + strings.Repeat("=3D", 400) + "=3", errFrozen},
		"boundary line":          {mixed + "\n--b" + strings.Repeat(" ", 20<<10) + "\n\nx\n--b--\n", errAmbiguous},
		"white boundary":         {mixed + "\n--b" + strings.Repeat(" ", 2000) + "\n\nx\n--b--\n", errPlace},
		"similar boundary":       {mixed + "\n--b\n\n--b" + long + "--b--\n", errAmbiguous},
		"boundary twice":         {mixed + "\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n" + long + "--b--\n", errAmbiguous},
		"boundary of the last":   {strings.Replace(mixed, "=b", "=\"b--\"", 1) + "\n--b--\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n" + long + "--b--\n", errAmbiguous},
		"boundary in a boundary": {mixed + "\n--b\nContent-Type: multipart/mixed; boundary=bc\n\n--bc\n\n" + long + "--bc--\n--b--\n", errAmbiguous},
		"boundary of 71 octets":  {strings.Replace(mixed, "=b", "="+strings.Repeat("b", 71), 1) + "\n--" + strings.Repeat("b", 71) + "\n\n" + long, errFrozen},
		"H6 many parts":          {mixed + "\n" + strings.Repeat("--b\n\nx\n", maxEntities) + long, errTooMuch},
	} {
		_, err := through(t, lines(c.in))
		r := appliance.ReplyTo(err)
		if r.Code != 550 || r.Status() != "5.6.0" || !strings.Contains(r.Text, "998 octets") || !strings.Contains(r.Text, c.why.Why) || !strings.Contains(r.Text, "base64") {
			t.Errorf("%s: %v, want %q", name, err, c.why.Why)
		}
	}
}

// TestMendSmuggled: what was no boundary is none afterwards, wherever a line is
// broken and whatever octets are encoded: a check has seen these parts and no others.
func TestMendSmuggled(t *testing.T) {
	for _, boundary := range []string{"b=C3", "-b", "--", "b"} {
		for shift := range 80 {
			content := strings.Repeat("x", shift+1) + strings.Repeat("--"+boundary+strings.Repeat("x", 67), 20) + "\n"
			if boundary == "b=C3" {
				content = "--b\xc3\n" + content
			}
			head := mimeHead + "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\n\n--" + boundary + "\n"
			for name, in := range map[string]string{
				"encoded": head + text + "\n" + content,
				"wrapped": head + text + qp + "\n" + strings.ReplaceAll(content, "\xc3", ""),
			} {
				in = lines(in + "--" + boundary + "--\n")
				out, err := through(t, in)
				if err != nil {
					t.Fatalf("%s, %q, %d: %v", name, boundary, shift, err)
				}
				if diff := same(in, out); diff != "" {
					t.Fatalf("%s, %q, %d: (-want +got):\n%s\n%s", name, boundary, shift, diff, out)
				}
			}
		}
	}
}

// TestMendOctets_H12: whatever the structure, lines are legal afterwards, and
// whoever decodes the parts finds the same octets as before.
func TestMendOctets_H12(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	mended := 0
	for range 200 {
		in := "MIME-Version: 1.0\r\n" + random(r, 3)
		out, err := through(t, in)
		if err != nil {
			t.Fatalf("%v: %.2000q", err, in)
		}
		var before, after ruler
		before.measure([]byte(in))
		after.measure([]byte(out))
		if after.long || before.long == (in == out) {
			t.Fatalf("long before: %t, after: %t; changed: %t", before.long, after.long, in != out)
		}
		if before.long {
			mended++
		}
		if diff := same(in, out); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	if mended < 80 {
		t.Errorf("only %d of the messages needed it", mended)
	}
}

// random makes an entity whose lines may be of any length.
func random(r *rand.Rand, depth int) string {
	const alphabet = "abc =._- \t-?--b\xc3\xbc"
	line := func() string {
		b := make([]byte, []int{50, 998, 999, 17 << 10, 40 << 10}[r.IntN(5)])
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return "x" + string(b) + "\r\n"
	}
	switch n := r.IntN(6); {
	case depth > 0 && n < 2:
		b := fmt.Sprintf("b%d.%d", depth, r.IntN(1e9))
		out := "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n\r\nsay\r\n"
		for range 1 + r.IntN(3) {
			out += "--" + b + "\r\n" + random(r, depth-1) + "\r\n"
		}
		return out + "--" + b + "--\r\n"
	case depth > 0 && n == 2:
		return "Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\n" + random(r, depth-1)
	case n == 3:
		return "Content-Type: image/png\r\n" + lines(b64) + "\r\n" + base64.StdEncoding.EncodeToString([]byte(line())) + "\r\n"
	}
	return "Content-Type: " + []string{"text/plain", "image/png"}[r.IntN(2)] + "\r\n\r\n" + line() + line()
}

// TestMendFails: what cannot be read or written is our own fault, and temporary.
func TestMendFails(t *testing.T) {
	broken := errors.New("disk on fire")
	tx := &appliance.Transaction{Message: appliance.Message{Body: failing{broken}}}
	if err := Mend(t.Context(), tx); !errors.Is(err, broken) || !appliance.ReplyTo(err).Temporary() {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Size() int64                  { return 1 }
func (f failing) Open() (io.ReadCloser, error) { return nil, f.err }

// same compares what a program reads of two messages.
func same(a, b string) string {
	want, err := appliancetest.Leaves(strings.NewReader(a))
	if err != nil {
		return err.Error()
	}
	got, err := appliancetest.Leaves(strings.NewReader(b))
	if err != nil {
		return err.Error()
	}
	return cmp.Diff(want, got)
}
