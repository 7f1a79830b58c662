package smtpconn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/waxwing-mail/waxwing/appliance"
)

// dotted writes content in pieces of n octets.
func dotted(content string, n int) (string, error) {
	var b bytes.Buffer
	d := &dotWriter{w: bufio.NewWriter(&b)}
	for p := []byte(content); len(p) > 0; p = p[min(n, len(p)):] {
		if _, err := d.Write(p[:min(n, len(p))]); err != nil {
			return "", err
		}
	}
	if err := d.Close(); err != nil {
		return "", err
	}
	err := d.w.Flush()
	return b.String(), err
}

func TestP14Content(t *testing.T) {
	for _, tc := range []struct {
		name, content, want string
		err                 error
	}{
		{"empty", "", ".\r\n", nil},
		{"plain", "a\r\nb\r\n", "a\r\nb\r\n.\r\n", nil},
		{"no CRLF at the end", "a\r\nb", "a\r\nb\r\n.\r\n", nil},
		{"S13 dots", ".\r\n..\r\n.x\r\na.\r\n", "..\r\n...\r\n..x\r\na.\r\n.\r\n", nil},
		{"S13 only a dot", ".", "..\r\n.\r\n", nil},
		{"empty lines", "\r\n\r\n", "\r\n\r\n.\r\n", nil},
		{"998 octets", strings.Repeat("x", 998) + "\r\n", strings.Repeat("x", 998) + "\r\n.\r\n", nil},
		{"999 octets", strings.Repeat("x", 999) + "\r\n", "", errLongLine},
		{"S15 LF.LF", "a\n.\nMAIL", "", errBareLF},
		{"S15 LF.CRLF", "a\n.\r\nMAIL", "", errBareLF},
		{"S15 CR.CR", "a\r.\rMAIL", "", errBareCR},
		{"S15 CRLF.LF", "a\r\n.\nMAIL", "", errBareLF},
		{"S15 CRLF.CR", "a\r\n.\rMAIL", "", errBareCR},
		{"S15 CRCRLF", "a\r\r\n", "", errBareCR},
		{"CR at the end", "a\r", "", errBareCR},
		{"S15 NUL", "a\r\n\x00.\r\n", "", errNUL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 1000} {
				got, err := dotted(tc.content, n)
				if !errors.Is(err, tc.err) || got != tc.want {
					t.Errorf("in pieces of %d: %.40q, %v; want %.40q, %v", n, got, err, tc.want, tc.err)
				}
			}
		})
	}
}

// FuzzContent: whatever the content, what leaves is free of bare CR, LF and
// NUL, ends at its only CRLF.CRLF, and is the content again when undone.
func FuzzContent(f *testing.F) {
	for _, s := range []string{"", ".", "a\r\n.b\r\n", "\r\n.\r\n", "a\n", "a\r", "\x00"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, content string, n int) {
		out, err := dotted(content, max(n, 1))
		if err != nil {
			return
		}
		rest := strings.ReplaceAll(out, "\r\n", "")
		if strings.ContainsAny(rest, "\r\n\x00") {
			t.Fatalf("%q leaves as %q", content, out)
		}
		if i := strings.Index("\r\n"+out, "\r\n.\r\n"); i != len(out)-3 {
			t.Fatalf("%q leaves as %q, which ends at %d", content, out, i)
		}
		undone := strings.ReplaceAll("\r\n"+strings.TrimSuffix(out, ".\r\n"), "\r\n.", "\r\n")
		want := "\r\n" + content
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if undone != want {
			t.Fatalf("%q leaves as %q, which is %q", content, out, undone)
		}
	})
}

// FuzzChecker: to look at lines finds what looking at octets finds, where it is,
// in whatever pieces the content comes.
func FuzzChecker(f *testing.F) {
	long := strings.Repeat("x", 998)
	for _, s := range []string{
		"", "a\r\nb", "a\r\n\r\n\xe4\r\n", "a\n", "\n", "a\rb\r\n", "a\r\r\n", "12345678\x80", "a\r\n\x00", "a\rb\x00",
		long + "\r\nb", long + "x\r\n", long + "x", long + "\r\r\n",
	} {
		for _, n := range []int{1, 2, 7, 1000} {
			f.Add([]byte(s), n)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, n int) {
		var lines, octets checker
		high := false
		for p := range slices.Chunk(content, max(n, 1)) {
			got, err := lines.look(p)
			want, wantErr := octets.octets(p)
			if got != want || !errors.Is(err, wantErr) {
				t.Fatalf("%q: %d, %v; want %d, %v", p, got, err, want, wantErr)
			}
			if err != nil {
				return
			}
			high = high || bytes.ContainsFunc(p, func(r rune) bool { return r >= 0x80 })
			if lines.line != octets.line || lines.cr != octets.cr || lines.high != high {
				t.Fatalf("%q: %+v, want %+v and high %v", p, lines, octets, high)
			}
		}
	})
}

// BenchmarkContent checks 64 KiB of text, and writes it for DATA.
func BenchmarkContent(b *testing.B) {
	content := []byte(strings.Repeat(strings.Repeat("x", 62)+"\r\n", 1<<10))
	for _, c := range []struct {
		name string
		w    func() io.Writer
	}{
		{"check", func() io.Writer { return new(checker) }},
		{"dots", func() io.Writer { return &dotWriter{w: bufio.NewWriterSize(io.Discard, 16<<10)} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.w().Write(content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	for _, tc := range []struct{ name, header, body, want string }{
		{"fine", "Subject: x\r\n", "\r\nx\r\n", ""},
		{"no body", "Subject: x\r\n", "", ""},
		{"bare LF", "Subject: x\r\n", "\r\na\nb\r\n", "550 5.6.0"},
		{"bare CR", "Subject: x\r\n", "\r\na\rb\r\n", "550 5.6.0"},
		{"CR at the end", "Subject: x\r\n", "\r\na\r", "550 5.6.0"},
		{"NUL", "Subject: x\r\n", "\r\n\x00\r\n", "550 5.6.0"},
		{"long line", "Subject: x\r\n", "\r\n" + strings.Repeat("x", 999), "550 5.6.0"},
		{"long header line", "Subject: " + strings.Repeat("x", 999) + "\r\n", "\r\n", "550 5.6.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := prepare(envelope("one@b.test"), message(tc.header, tc.body))
			got := ""
			if r := appliance.ReplyTo(err); r != nil {
				got = r.String()[:9]
			}
			if got != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// TestP8Unreadable: a body that cannot be read is our fault, before the
// transaction and in the middle of it.
func TestP8Unreadable(t *testing.T) {
	broken := &fragileBody{good: 0}
	msg := message("Subject: x\r\n", "")
	msg.Body = broken
	check(t, pool(t).Deliver(t.Context(), envelope("one@b.test"), msg, targets()), "451 4.3.0")

	broken = &fragileBody{good: 1}
	msg.Body = broken
	s := serve(t, quick+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nHANG")
	check(t, pool(t).Deliver(t.Context(), envelope("one@b.test"), msg, targets(s.target())), "451 4.3.0")
}

// A fragileBody can be read a number of times.
type fragileBody struct{ good int }

func (b *fragileBody) Size() int64 { return 6 }

func (b *fragileBody) Open() (io.ReadCloser, error) {
	if b.good--; b.good >= 0 {
		return appliance.BytesBody("\r\nhi\r\n").Open()
	}
	return io.NopCloser(iotest.ErrReader(errors.New("disk on fire"))), nil
}
