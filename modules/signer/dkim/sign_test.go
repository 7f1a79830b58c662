package dkim

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	msgdkim "github.com/emersion/go-msgauth/dkim"

	"github.com/waxwing-mail/waxwing/appliance"
)

// parse makes a transaction of a message with CRLF line ends, as the pipeline
// does.
func parse(t testing.TB, raw string) *appliance.Transaction {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(raw))
	h, err := appliance.ReadHeader(r, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return &appliance.Transaction{Message: appliance.Message{Header: h, Body: appliance.BytesBody(body)}}
}

func wire(t testing.TB, tx *appliance.Transaction) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := tx.Message.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// verify returns the result of each signature, in the order of the header.
func verify(t testing.TB, d *DKIM, message string) []*msgdkim.Verification {
	t.Helper()
	if !strings.Contains(message, "\r\n\r\n") {
		message += "\r\n" // the library wants the empty line, see TestMessages
	}
	all, err := msgdkim.VerifyWithOptions(strings.NewReader(message), &msgdkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			for _, r := range d.DNSRecords() {
				if r.Name == name {
					return []string{r.Value}, nil
				}
			}
			return nil, fmt.Errorf("no record %s", name)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	plainMail = "From: a@example.com\r\nTo: b@example.org\r\nSubject: Hello\r\n\r\nText.\r\n"
	listMail  = "List-Id: <l.example.com>\r\nList-Unsubscribe: <https://example.com/u>\r\n" +
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" +
		"From: a@example.com\r\nSender: b@example.com\r\n\r\ntext\r\n"
)

// messages are the shapes of mail that signers stumble over.
var messages = []struct{ name, raw string }{
	{"plain", plainMail},
	{"S13 header only", "From: a@example.com\r\nSubject: x\r\n"},
	{"S13 empty body", "From: a@example.com\r\n\r\n"},
	{"S13 first line a dot", "From: a@example.com\r\n\r\n.\r\n..\r\n"},
	{"body of empty lines", "From: a@example.com\r\n\r\n\r\n\r\n\r\n"},
	{"body of white space", "From: a@example.com\r\n\r\n \t\r\n  \r\n"},
	{"trailing empty lines", "From: a@example.com\r\n\r\ntext\r\n\r\n\r\n"},
	{"trailing white space", "From: a@example.com\r\n\r\ntext \t \r\n \t\r\nmore\t\r\n"},
	{"no line end at the end", "From: a@example.com\r\n\r\ntext"},
	{"8-bit", "From: =?utf-8?q?J=C3=B6rg?= <a@example.com>\r\nSubject: Grüße \xff\xfe\r\n\r\nNaïve caf\xe9\r\n"},
	{"folded", "From: A\r\n <a@example.com>\r\nSubject:\r\n folded\r\n\tonce  more \r\nTo:\r\n b@example.org\r\n\r\ntext\r\n"},
	{"odd spelling", "fRoM:a@example.com\r\nSUBJECT:x\r\nto:b@example.org\r\n\r\ntext\r\n"},
	{obsolete, "From : a@example.com\r\nSubject \t:x\r\n\r\ntext\r\n"},
	{"line of white space in a field", "From: a@example.com\r\nSubject: a\r\n \r\n b\r\n\r\ntext\r\n"},
	{"empty fields", "From: a@example.com\r\nSubject:\r\nTo: \r\nCc:\r\n \r\n\r\ntext\r\n"},
	{"H8 two Subjects", "From: a@example.com\r\nSubject: one\r\nX: y\r\nSubject: two\r\n\r\ntext\r\n"},
	{"H8 signed before", "DKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=x; h=from; bh=AAAA; b=AAAA\r\n" +
		"Authentication-Results: other.example; none\r\nARC-Seal: i=1; a=x\r\nFrom: a@example.com\r\n\r\ntext\r\n"},
	{"list", listMail},
	{"every field ten times", tenTimes()},
	{"long field", "From: a@example.com\r\nReferences:" + strings.Repeat("\r\n <"+strings.Repeat("r", 60)+"@example.com>", 200) + "\r\n\r\ntext\r\n"},
	{"large body", "From: a@example.com\r\n\r\n" + strings.Repeat("0123456789 \t \r\n\r\n", 20_000)},
}

// obsolete is a message with white space before the colon (RFC 5322, section
// 4.5), which dkimpy does not read.
const obsolete = "obsolete syntax"

func tenTimes() string {
	var b strings.Builder
	for range maxInstances {
		for _, n := range append(standardHeaders[1:], ifPresent...) {
			b.WriteString(n + ": x\r\n")
		}
	}
	return b.String() + "From: a@example.com\r\n\r\ntext\r\n"
}

// signer signs for example.com with both kinds of keys.
func signer(t testing.TB) *DKIM {
	d := configured(func(d *DKIM) { d.Algorithms = []string{RSA2048, Ed25519} })
	start(t, d, stocked(t, "example.com"))
	return d
}

// TestP15Messages: what we signed verifies, and is otherwise untouched.
func TestP15Messages(t *testing.T) {
	d := signer(t)
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			tx := parse(t, m.raw)
			if err := d.Modify(t.Context(), tx); err != nil {
				t.Fatal(err)
			}
			if len(tx.SignedBy) != 1 || tx.SignedBy[0] != "example.com" {
				t.Errorf("SignedBy %v", tx.SignedBy)
			}
			out := wire(t, tx)
			ours := verify(t, d, out)[:2]
			for _, v := range ours {
				if v.Err != nil {
					t.Errorf("%s: %v", v.Domain, v.Err)
				}
			}
			if !strings.HasSuffix(out, m.raw) {
				t.Error("the message was changed")
			}
			added := strings.TrimSuffix(out, m.raw)
			checkShape(t, added)
		})
	}
}

// checkShape holds what we add to the form of mail: P14.
func checkShape(t *testing.T, added string) {
	t.Helper()
	if strings.Count(added, "DKIM-Signature:") != 2 {
		t.Errorf("added %q", added)
	}
	if strings.Count(added, "\n") != strings.Count(added, "\r\n") || strings.Count(added, "\r") != strings.Count(added, "\r\n") || !strings.HasSuffix(added, "\r\n") {
		t.Errorf("bare CR or LF in %q", added)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(added, "\r\n"), "\r\n") {
		if len(line) > 998 || strings.TrimSpace(line) == "" {
			t.Errorf("line of %d octets: %.100q", len(line), line)
		}
	}
}

// TestFolded: the lines of an ordinary signature are short.
func TestFolded(t *testing.T) {
	d := signer(t)
	for _, raw := range []string{plainMail, listMail} {
		tx := parse(t, raw)
		if err := d.Modify(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		for f := range tx.Message.Header.All() {
			if f.Name != "DKIM-Signature" {
				continue
			}
			for line := range strings.SplitSeq(string(f.Raw), "\r\n") {
				if len(line) > 90 {
					t.Errorf("line of %d octets: %s", len(line), line)
				}
			}
		}
	}
}

// TestNotOurs: mail of others, and of nobody, passes untouched.
func TestNotOurs(t *testing.T) {
	d := signer(t)
	for _, raw := range []string{
		"From: a@other.example\r\n\r\ntext\r\n",
		"Subject: no From\r\n\r\ntext\r\n",
		"\r\nno header\r\n",
		"",
		"From: a@example.com\r\nFrom: b@example.com\r\n\r\nH3: two From fields\r\n",
		"From: group:;\r\n\r\ntext\r\n",
	} {
		tx := parse(t, raw)
		if err := d.Modify(t.Context(), tx); err != nil || len(tx.SignedBy) != 0 || wire(t, tx) != raw {
			t.Errorf("%q: %v, signed by %v", raw, err, tx.SignedBy)
		}
	}
}

// TestH8Oversigned: no field that readers see can be added to a signed
// message, changed in it, or removed from it.
func TestH8Oversigned(t *testing.T) {
	d := signer(t)
	tx := parse(t, plainMail)
	if err := d.Modify(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	signed := wire(t, tx)
	broken := func(what, message string) {
		t.Helper()
		for _, v := range verify(t, d, message) {
			if v.Err == nil {
				t.Errorf("%s: the signature still verifies", what)
			}
		}
	}
	for _, n := range standardHeaders {
		broken("added "+n, n+": evil@example.org\r\n"+signed)
		broken("added below "+n, strings.Replace(signed, "\r\n\r\n", "\r\n"+n+": evil@example.org\r\n\r\n", 1))
	}
	broken("changed To", strings.Replace(signed, "b@example.org", "c@example.org", 1))
	broken("removed Subject", strings.Replace(signed, "Subject: Hello\r\n", "", 1))
	broken("changed body", strings.Replace(signed, "Text.", "Text!", 1))
	broken("longer body", signed+"more\r\n")

	for _, added := range []string{"Received: from x\r\n", "Return-Path: <a@example.com>\r\n", "List-Id: <l.example.org>\r\n", "X-Spam: no\r\n"} {
		for _, v := range verify(t, d, added+signed) {
			if v.Err != nil {
				t.Errorf("%q added on the way breaks the signature: %v", added, v.Err)
			}
		}
	}
	list := parse(t, listMail)
	if err := d.Modify(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	broken("another List-Unsubscribe", "List-Unsubscribe: <https://evil.example/>\r\n"+wire(t, list))
	broken("another Sender", "Sender: evil@example.org\r\n"+wire(t, list))
}

// TestH9Expire: x= is set, and stands where receivers look for it.
func TestH9Expire(t *testing.T) {
	for _, expire := range []time.Duration{0, 14 * 24 * time.Hour} {
		d := configured(func(d *DKIM) { d.Expire = expire })
		start(t, d, stocked(t, "example.com"))
		tx := parse(t, plainMail)
		if err := d.Modify(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		v := verify(t, d, wire(t, tx))[0]
		switch life := v.Expiration.Sub(v.Time); {
		case expire == 0 && !v.Expiration.IsZero():
			t.Errorf("expires %v", v.Expiration)
		case expire > 0 && (life < expire-2*time.Second || life > expire+2*time.Second):
			t.Errorf("lives %v, want %v", life, expire)
		}
	}
}

// TestH5TooManyFields: refused for good and at once, not in quadratic time.
func TestH5TooManyFields(t *testing.T) {
	d := signer(t)
	for _, c := range []struct {
		field string
		code  int
	}{{"Subject: x\r\n", 550}, {"List-Id: <x>\r\n", 550}, {"X-Other: x\r\n", 0}} {
		tx := parse(t, strings.Repeat(c.field, 9_000)+"From: a@example.com\r\n\r\ntext\r\n")
		begin := time.Now()
		err := d.Modify(t.Context(), tx)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("9,000 × %q took %v", c.field, took)
		}
		if r := appliance.ReplyTo(err); c.code == 0 && err != nil || c.code != 0 && (r == nil || r.Code != c.code) {
			t.Errorf("9,000 × %q: %v, want %d", c.field, err, c.code)
		}
		if (err != nil) != (len(tx.SignedBy) == 0) || (err != nil) != (tx.Message.Header.Count("DKIM-Signature") == 0) {
			t.Errorf("9,000 × %q: half signed: %v", c.field, tx.SignedBy)
		}
	}
}

// refusing is a key that cannot sign, such as one in a broken HSM.
type refusing struct{ crypto.Signer }

var errRefused = errors.New("token removed")

func (refusing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errRefused }

// badBody is a body that cannot be opened, or breaks in the middle, or is none.
type badBody struct {
	open, read error
	content    string
}

func (b badBody) Size() int64 { return 1000 }

func (b badBody) Open() (io.ReadCloser, error) {
	if b.open != nil {
		return nil, b.open
	}
	broken := io.MultiReader(strings.NewReader(b.content), readFails{b.read})
	return io.NopCloser(broken), nil
}

type readFails struct{ err error }

func (r readFails) Read([]byte) (int, error) {
	if r.err == nil {
		return 0, io.EOF
	}
	return 0, r.err
}

// TestP13CannotSign: what is ours and cannot be signed is deferred, the header
// stays as it was, and no goroutine is left (the bubble waits for them).
func TestP13CannotSign(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	eio := errors.New("input/output error")
	for _, c := range []struct {
		name string
		ctx  context.Context
		key  crypto.Signer
		body appliance.Body
		none bool
	}{
		{name: "key", key: refusing{rsaKey.private}},
		{name: "no key", none: true},
		{name: "open", body: badBody{open: eio}},
		{name: "read", body: badBody{content: "\r\nabc", read: eio}},
		{name: "no empty line", body: badBody{content: "From: evil@example.com\r\n\r\n"}},
		{name: "half an empty line", body: badBody{content: "\r"}},
		{name: "context", ctx: gone},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := signer(t)
			if c.none {
				d.ring.Store(newRing())
			}
			if c.key != nil {
				d.ring.Load().keys["example.com"][0].key = newKey(c.key)
			}
			tx := parse(t, plainMail)
			if c.body != nil {
				tx.Message.Body = c.body
			}
			before := string(tx.Message.Header.Bytes())
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			err := d.Modify(ctx, tx)
			if r := appliance.ReplyTo(err); r == nil || r.Code != 451 {
				t.Errorf("%s: %v, want 451", c.name, err)
			}
			if len(tx.SignedBy) != 0 || string(tx.Message.Header.Bytes()) != before {
				t.Errorf("%s: changed although it failed", c.name)
			}
		})
	}
}

// endingBody is a large body during which a context ends.
type endingBody struct{ end context.CancelFunc }

func (b endingBody) Size() int64 { return maxWhole + 1 }

func (b endingBody) Open() (io.ReadCloser, error) {
	end := writerFunc(func(p []byte) (int, error) { b.end(); return len(p), nil })
	text := "\r\n" + strings.Repeat("text\r\n", maxWhole/6)
	return io.NopCloser(io.TeeReader(strings.NewReader(text), end)), nil
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestEnded: of a large body no more is read when the context has ended.
func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tx := parse(t, plainMail)
	tx.Message.Body = endingBody{cancel}
	if err := signer(t).Modify(ctx, tx); !errors.Is(err, context.Canceled) || len(tx.SignedBy) != 0 {
		t.Errorf("%v, signed by %v", err, tx.SignedBy)
	}
}

func BenchmarkSign(b *testing.B) {
	d := configured()
	start(b, d, stocked(b, "example.com"))
	for _, size := range []int{4 << 10, 10 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			raw := "From: A <a@example.com>\r\nTo: b@example.org\r\nSubject: Hello\r\nDate: Mon, 2 Jan 2006 15:04:05 -0700\r\n" +
				"Message-ID: <x@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
			raw += strings.Repeat(strings.Repeat("x", 70)+"\r\n", (size-len(raw))/72)
			tx := parse(b, raw)
			h := tx.Message.Header.Clone()
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				tx.Message.Header, tx.SignedBy = h.Clone(), nil
				if err := d.Modify(b.Context(), tx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
