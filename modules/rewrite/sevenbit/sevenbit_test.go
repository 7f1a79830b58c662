package sevenbit

import (
	"bytes"
	"context"
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

// A rig is a pipeline with nothing but the rewrite.
type rig struct {
	appliance.Spool
	got  appliance.Accepted
	left int // drafts that nobody has released
}

// draft is one in memory.
type draft struct {
	bytes.Buffer
	rig  *rig
	gone bool
}

func (d *draft) Body() (appliance.Body, error) { return appliance.BytesBody(d.Bytes()), nil }

func (d *draft) Abort() error {
	if !d.gone {
		d.gone = true
		d.rig.left--
	}
	return nil
}

func (r *rig) Draft(context.Context) (appliance.Draft, error) {
	r.left++
	return &draft{rig: r}, nil
}

func (r *rig) Commit(_ context.Context, msgs ...appliance.Accepted) error {
	r.got = msgs[0]
	msgs[0].Draft.(*draft).gone = true // it belongs to the store
	return nil
}

// nowhere is a relay that is never asked.
type nowhere struct{}

func (nowhere) Provision(*appliance.Context) error { return nil }
func (nowhere) NextHop(appliance.Mailbox) string   { return "nowhere" }
func (nowhere) Deliver(context.Context, appliance.Envelope, *appliance.Message) []appliance.Result {
	return nil
}

// through sends a message through a pipeline and returns what it commits.
func through(t testing.TB, in string) (header, body string, env appliance.Envelope) {
	t.Helper()
	r := new(rig)
	p := &appliance.Pipeline{
		Rewrites: []appliance.Ref[appliance.Modifier]{appliance.RefTo[appliance.Modifier](
			appliance.Addr{Kind: appliance.KindRewrite, Name: "mime"}, New())},
		Relay: appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "none"}, nowhere{}),
	}
	p.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "out"}, appliance.House{
		Hostname: "mail.example.com", Spool: r, Limits: appliance.DefaultSettings().Limits,
	})
	box, err := appliance.ParseMailbox("ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	tx, err := p.Mail(ctx, &appliance.Session{Trusted: "test"}, appliance.Envelope{From: box, EightBit: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Rcpt(ctx, tx, appliance.Recipient{Mailbox: box}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Data(ctx, tx, strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if r.left != 1 {
		t.Errorf("%d drafts are left, want the committed one", r.left)
	}
	r.got.Header.Remove(func(f appliance.Field) bool { return f.Name == "Received" })
	return string(r.got.Header.Bytes()), r.got.Draft.(*draft).String(), r.got.Envelope
}

const mixed = `Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer
Content-Transfer-Encoding: 8bit

a preamble
--outer
Content-Type: multipart/alternative; boundary="in ner"

--in ner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
X-Keep:   as  it
  is

Grüße = ja ` + " " + `
.
zwei
--in ner
Content-Type: text/html; charset=koi8-r

` + "\xf0\xd2\xc9\xd7\xc5\xd4\xf0\xd2\xc9\xd7\xc5\xd4" + `
--in ner--  
--outer
Content-Type: image/gif
Content-Transfer-Encoding: binary

GIF` + "\xff\xfe" + `

--outer
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner

na` + "\xc3\xaf" + `ve? no: no MIME, but text all the same
--outer
Content-Type: text/plain

seven bits
--outer--
an epilogue
`

const mixedEncoded = `
a preamble
--outer
Content-Type: multipart/alternative; boundary="in ner"

--in ner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
X-Keep:   as  it
  is

Gr=C3=BC=C3=9Fe =3D ja =20
.
zwei
--in ner
Content-Type: text/html; charset=koi8-r
Content-Transfer-Encoding: base64

8NLJ18XU8NLJ18XU

--in ner--  
--outer
Content-Type: image/gif
Content-Transfer-Encoding: base64

R0lG//4NCg==

--outer
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Subject: inner
Content-Transfer-Encoding: quoted-printable

na=C3=AFve? no: no MIME, but text all the same
--outer
Content-Type: text/plain

seven bits
--outer--
an epilogue
`

// TestConvert_H12: what is 8-bit is encoded, and what is not stays as it is.
func TestConvert_H12(t *testing.T) {
	h, b, env := through(t, lines(mixed))
	wantHeader := "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\nContent-Transfer-Encoding: 7bit\n"
	if diff := cmp.Diff(lines(wantHeader+mixedEncoded), h+b); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if env.EightBit {
		t.Error("it is still declared as 8bit")
	}
}

func TestConvertSimple_H12(t *testing.T) {
	const head = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	for _, c := range []struct{ name, in, want string }{
		{"text", head + "\nGrüße, sehr herzlich\n", head + "Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe, sehr herzlich\n"},
		{"text, no end", head + "\nGrüße, sehr herzlich", head + "Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe, sehr herzlich"},
		{"Russian", head + "Content-Transfer-Encoding: 8bit\n\nпривет\n", head + "Content-Transfer-Encoding: base64\n\n0L/RgNC40LLQtdGCDQo=\n"},
		{"subject", "Subject: Grüße\n\nx\n", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nx\n"},
		{"names", "From: Jürgen <j@example.com>, b@example.com\n\nx\n", "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>, <b@example.com>\n\nx\n"},
	} {
		if h, b, _ := through(t, lines(c.in)); h+b != lines(c.want) {
			t.Errorf("%s: %q, want %q", c.name, h+b, c.want)
		}
	}
}

// TestLeft_H12: what is better left alone is not touched in any octet.
func TestLeft_H12(t *testing.T) {
	const head = "MIME-Version: 1.0\nContent-Type: "
	many := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	for name, in := range map[string]string{
		"7bit":                    head + "text/plain\n\nseven\n",
		"no MIME":                 "Subject: x\n\nGrüße\n",
		"no MIME-Version":         "Content-Type: text/plain; charset=utf-8\n\nGrüße\n",
		"signed with DKIM":        "DKIM-Signature: v=1; d=example.net\n" + head + "text/plain; charset=utf-8\n\nGrüße\n",
		"sealed":                  "ARC-Seal: i=1\n" + head + "text/plain; charset=utf-8\n\nGrüße\n",
		"multipart/signed":        head + "multipart/signed; boundary=b\n\n--b\nContent-Type: text/plain\n\nGrüße\n--b--\n",
		"one is signed":           head + "multipart/mixed; boundary=b\n\n--b\n\nGrüße\n--b\nContent-Type: multipart/signed; boundary=c\n\n--c\n\nGrüße\n--c--\n--b--\n",
		"message/global":          head + "message/global\n\nSubject: Grüße\n\nx\n",
		"nested 8-bit header":     head + "message/rfc822\n\nSubject: Grüße\n\nx\n",
		"unknown field":           "X-Name: Grüße\n" + head + "text/plain\n\nx\n",
		"Latin-1 subject":         "Subject: Gr\xfc\xdfe\n\nx\n",
		"a mixture":               "Subject: =?utf-8?q?x?= Grüße\n\nx\n",
		"two subjects":            "Subject: Grüße\nSubject: x\n\nx\n",
		"a group":                 "To: Müller: a@example.com, b@example.com;\n\nx\n",
		"international address":   "From: jürgen@example.com\n\nx\n",
		"unknown encoding":        head + "text/plain\nContent-Transfer-Encoding: x-own\n\nGrüße\n",
		"quoted-printable, 8-bit": head + "text/plain\nContent-Transfer-Encoding: quoted-printable\n\nGrüße\n",
		"two encodings":           head + "text/plain\nContent-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: 7bit\n\nGrüße\n",
		"two types":               head + "text/plain\nContent-Type: text/html\n\nGrüße\n",
		"type that is none":       head + "text plain;;\n\nGrüße\n",
		"8-bit preamble":          head + "multipart/mixed; boundary=b\n\nGrüße\n--b\n\nx\n--b--\n",
		"similar boundaries":      head + "multipart/mixed; boundary=b\n\n--b\n\nGrüße\n--bb\n\nx\n--b--\n",
		"no end of a header":      head + "multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n--b\n\nGrüße\n--b--\n",
		"header at the end":       head + "multipart/mixed; boundary=b\n\n--b\n\nGrüße\n--b\nContent-Type: text/plain\n",
		"header that is none":     head + "multipart/mixed; boundary=b\n\n--b\nGrüße\n\nx\n--b--\n",
		"H6 many parts":           head + "multipart/mixed; boundary=b\n\nx\n" + many(1001, func(int) string { return "--b\n\nü\n" }) + "--b--\n",
		"H6 deep": head + "multipart/mixed; boundary=b\n\n--b\n" + many(101, func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary=x%dx\n\n--x%dx\n", i, i)
		}) + "\nü\n",
		"H6 messages in messages": head + "message/rfc822\n\n" + many(1000, func(int) string { return "Content-Type: message/rfc822\n\n" }) + "x: y\n\nü\n",
		"H6 large header":         head + "multipart/mixed; boundary=b\n\n--b\n" + many(64<<10/8, func(int) string { return "a: 4567\n" }) + "\nü\n--b--\n",
	} {
		h, b, env := through(t, lines(in))
		if got := h + b; got != lines(in) {
			t.Errorf("%s: it has become %.300q", name, got)
		}
		if !env.EightBit {
			if name != "7bit" {
				t.Errorf("%s: it is not declared as 8bit any more", name)
			}
		}
	}
}

// TestUnreadable: a body that cannot be read defers the message.
func TestUnreadable(t *testing.T) {
	broken := errors.New("disk on fire")
	h, err := appliance.ParseHeader([]byte("Subject: x\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	tx := &appliance.Transaction{Message: appliance.Message{Header: h, Body: failing{broken}}}
	if err := New().Modify(t.Context(), tx); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Size() int64                  { return 1 }
func (f failing) Open() (io.ReadCloser, error) { return nil, f.err }

// random makes an entity that is a MIME message if it stands alone.
func random(r *rand.Rand, depth int) string {
	text := func() string {
		b := make([]byte, r.IntN(300))
		alphabet := "abc =._- \t-?"
		if r.IntN(2) == 0 {
			alphabet += "äß\xff\x80\xfe"
		}
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
			if i > 0 && r.IntN(30) == 0 {
				b[i-1], b[i] = '\r', '\n'
			}
		}
		s := strings.ReplaceAll(string(b), "\r\n", "\n")
		return lines(strings.ReplaceAll(strings.NewReplacer("\r", "", "\n--", "\n==").Replace(s), "--b", "==b"))
	}
	encodings := []string{"", "Content-Transfer-Encoding: 8bit\r\n", "Content-Transfer-Encoding: BINARY\r\n"}
	encoding := encodings[r.IntN(len(encodings))]
	switch n := r.IntN(6); {
	case depth > 0 && n < 2:
		b := fmt.Sprintf("b%d.%d", depth, r.IntN(1e9))
		out := "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n" + encoding + "\r\nsay\r\n"
		for range 1 + r.IntN(4) {
			out += "--" + b + "\r\n" + random(r, depth-1) + "\r\n"
		}
		return out + "--" + b + "--\r\n"
	case depth > 0 && n == 2:
		return "Content-Type: message/rfc822\r\n" + encoding + "\r\nMIME-Version: 1.0\r\n" + random(r, depth-1)
	}
	return "Content-Type: " + []string{"text/plain", "image/png"}[r.IntN(2)] + "\r\n" + encoding + "\r\n" + text()
}

// TestOctets_H12: whatever the structure, the result is 7-bit, its lines are
// legal, and whoever decodes it finds the same octets as before.
func TestOctets_H12(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	encoded := 0
	for range 2000 {
		in := "MIME-Version: 1.0\r\n" + random(r, 4)
		h, b, _ := through(t, in)
		if !isASCII(h+b) || len(h+b) == 0 {
			t.Fatalf("it is not 7-bit: %q\nfrom %q", h+b, in)
		}
		if isASCII(in) != (h+b == in) {
			t.Fatalf("%q has become %q", in, h+b)
		}
		if !isASCII(in) {
			encoded++
		}
		want, err := appliancetest.Leaves(strings.NewReader(in))
		if err != nil {
			t.Fatalf("%v: %q", err, in)
		}
		got, err := appliancetest.Leaves(strings.NewReader(h + b))
		if err != nil {
			t.Fatalf("%v: %q", err, h+b)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%q\n%q", diff, in, h+b)
		}
	}
	if encoded < 500 {
		t.Errorf("only %d of the messages needed it", encoded)
	}
}
