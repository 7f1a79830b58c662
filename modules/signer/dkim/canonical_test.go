package dkim

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// TestRelaxedExample is the example of RFC 6376, section 3.4.5.
func TestRelaxedExample(t *testing.T) {
	got := appendRelaxed(nil, []byte("A: X\r\n"))
	got = appendRelaxed(got, []byte("B : Y\t\r\n\tZ  \r\n"))
	if want := "a:X\r\nb:Y Z\r\n"; string(got) != want {
		t.Errorf("header %q, want %q", got, want)
	}
	if got, want := relaxed(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n"; got != want {
		t.Errorf("body %q, want %q", got, want)
	}
}

func TestRelaxedField(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"Subject:\r\n", "subject:\r\n"},
		{"Subject: \t \r\n", "subject:\r\n"},
		{"SUBJECT:x\r\n", "subject:x\r\n"},
		{"Subject \t:  a \t b\r\n", "subject:a b\r\n"},
		{"Subject:\r\n a\r\n\tb\r\n", "subject:a b\r\n"},
		{"Subject: a\r\n \r\n b\r\n", "subject:a b\r\n"},
		{"To: A: B:; \r\n", "to:A: B:;\r\n"},
		{"X-1: \xc3\x9c\xff\r\n", "x-1:\xc3\x9c\xff\r\n"},
	} {
		if got := string(appendRelaxed(nil, []byte(c.raw))); got != c.want {
			t.Errorf("%q: %q, want %q", c.raw, got, c.want)
		}
	}
}

// relaxed is the relaxed form of a body, word by word as RFC 6376, section
// 3.4.4, has it.
func relaxed(body string) string {
	lines := strings.Split(body, "\r\n")
	for i, l := range lines {
		l = strings.TrimRight(l, " \t")
		lines[i] = blanks.ReplaceAllString(l, " ")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

var blanks = regexp.MustCompile("[ \t]+")

// A recorder is a hash that shows what it was given.
type recorder struct{ bytes.Buffer }

func (r *recorder) Sum([]byte) []byte { return r.Bytes() }
func (r *recorder) Size() int         { return 0 }
func (r *recorder) BlockSize() int    { return 1 }

// relaxedIn is what a relaxedBody makes of a body that comes in pieces of n
// octets.
func relaxedIn(t *testing.T, body string, n int) string {
	t.Helper()
	b := &relaxedBody{hash: new(recorder)}
	for rest := []byte(body); len(rest) > 0; {
		k := min(n, len(rest))
		if wrote, err := b.Write(rest[:k]); wrote != k || err != nil {
			t.Fatal(wrote, err)
		}
		rest = rest[k:]
	}
	return string(b.sum())
}

// TestRelaxedBody: any mixture of text, white space and line ends, in whatever
// pieces it comes, is hashed in the form that the RFC describes.
func TestRelaxedBody(t *testing.T) {
	words := []string{"a", "text", " ", "  ", "\t", "\r\n", "\r\n\r\n", "\r", "\n", "\r\r\n", " \r\n", ".", "\xff", strings.Repeat("\r\n", 200)}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		var body strings.Builder
		for range random.IntN(12) {
			body.WriteString(words[random.IntN(len(words))])
		}
		n := 1 + random.IntN(8)
		if got, want := relaxedIn(t, body.String(), n), relaxed(body.String()); got != want {
			t.Fatalf("%q in pieces of %d: %q, want %q", body.String(), n, got, want)
		}
	}
}

// FuzzRelaxed: the form of bodies does not depend on how they are cut.
func FuzzRelaxed(f *testing.F) {
	for _, body := range []string{"", "\r\n", " C \r\nD \t E\r\n\r\n\r\n", "a \r", " \r b", "a\r\r\n \t\r\n\r\nb"} {
		f.Add(body, 1)
		f.Add(body, 3)
	}
	f.Fuzz(func(t *testing.T, body string, n int) {
		if got, want := relaxedIn(t, body, 1+(n&0xff)), relaxed(body); got != want {
			t.Errorf("%q in pieces of %d: %q, want %q", body, 1+(n&0xff), got, want)
		}
	})
}

// TestSameName: names are compared in ASCII; other letters that Unicode folds to
// a k or an s are others.
func TestSameName(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{{"Subject", "sUBJECT", true}, {"Subject", "Subjects", false}, {"Subject", "\u017fubject", false}, {"Keywords", "\u212aeywords", false}} {
		if sameName(c.a, c.b) != c.same {
			t.Errorf("%q and %q", c.a, c.b)
		}
	}
}

func BenchmarkRelaxedBody(b *testing.B) {
	for name, line := range map[string]string{"text": strings.Repeat("word ", 14) + "end\r\n", "base64": strings.Repeat("QUJD", 19) + "\r\n", "blanks": strings.Repeat("a  \t", 18) + "\r\n"} {
		b.Run(name, func(b *testing.B) {
			body := []byte(strings.Repeat(line, 4096/len(line)))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := &relaxedBody{hash: sha256.New()}
				if _, err := r.Write(body); err != nil {
					b.Fatal(err)
				}
				r.sum()
			}
		})
	}
}
