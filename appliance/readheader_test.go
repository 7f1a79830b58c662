package appliance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readAll reads a header and gives back what was left for the body.
func readAll(t testing.TB, in string, max int) (h Header, rest string, err error) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(in))
	h, err = ReadHeader(r, max)
	left, readErr := io.ReadAll(r)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return h, string(left), err
}

// TestReadHeader is S13 and H5: where the header ends, whatever it looks like.
func TestReadHeader(t *testing.T) {
	for _, c := range []struct {
		name, in string
		fields   []string // Raw of each
		rest     string
	}{
		{"nothing", "", nil, ""},
		{"header and body", "A: 1\r\nB: 2\r\n\r\nbody\r\n", []string{"A: 1\r\n", "B: 2\r\n"}, "\r\nbody\r\n"},
		{"header only", "A: 1\r\n", []string{"A: 1\r\n"}, ""},
		{"header only, with the empty line", "A: 1\r\n\r\n", []string{"A: 1\r\n"}, "\r\n"},
		{"last line without end", "A: 1", []string{"A: 1\r\n"}, ""},
		{"no header", "\r\nbody\r\n", nil, "\r\nbody\r\n"},
		{"no header and no empty line", "body\r\nmore\r\n", nil, "body\r\nmore\r\n"},
		{"first line is a dot", ".\r\nA: 1\r\n", nil, ".\r\nA: 1\r\n"},
		{"body without an empty line", "A: 1\r\nbody\r\n", []string{"A: 1\r\n"}, "body\r\n"},
		{"folded", "A: 1\r\n\t2\r\n 3\r\nB: 4\r\n\r\n", []string{"A: 1\r\n\t2\r\n 3\r\n", "B: 4\r\n"}, "\r\n"},
		{"line of white space in a field", "A: 1\r\n \r\nB: 2\r\n\r\n", []string{"A: 1\r\n \r\n", "B: 2\r\n"}, "\r\n"},
		{"first line is a continuation", " x\r\nA: 1\r\n", nil, " x\r\nA: 1\r\n"},
		{"colon only", ":\r\nA: 1\r\n", nil, ":\r\nA: 1\r\n"},
		{"white space before the colon", "From \t: a@b\r\n\r\n", []string{"From \t: a@b\r\n"}, "\r\n"},
		{"white space in the name", "From me: a@b\r\n\r\n", nil, "From me: a@b\r\n\r\n"},
		{"separator line of an mbox", "From a@b Thu Jan  1 00:00:00 1970\r\nA: 1\r\n", nil, "From a@b Thu Jan  1 00:00:00 1970\r\nA: 1\r\n"},
		{"control in the name", "A\x00: 1\r\n", nil, "A\x00: 1\r\n"},
		{"8-bit name", "Ä: 1\r\n", nil, "Ä: 1\r\n"},
		{"colon on the next line", "A\r\n: 1\r\n", nil, "A\r\n: 1\r\n"},
		{"8-bit value", "A: \xe4\r\n\r\n", []string{"A: \xe4\r\n"}, "\r\n"},
		{"empty value", "A:\r\nB:\r\n\r\n", []string{"A:\r\n", "B:\r\n"}, "\r\n"},
		{"LF", "A: 1\nB: 2\n 3\n\nbody", []string{"A: 1\r\n", "B: 2\r\n 3\r\n"}, "\nbody"},
		{"name that scripts trip over", "__proto__: 1\r\n\r\n", []string{"__proto__: 1\r\n"}, "\r\n"},
		{"longest name", strings.Repeat("n", 255) + ":\r\n", []string{strings.Repeat("n", 255) + ":\r\n"}, ""},
		{"name too long", strings.Repeat("n", 256) + ":\r\n", nil, strings.Repeat("n", 256) + ":\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, rest, err := readAll(t, c.in, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			var fields []string
			for f := range h.All() {
				fields = append(fields, string(f.Raw))
			}
			if d := cmp.Diff(c.fields, fields); d != "" {
				t.Errorf("fields (-want +got):\n%s", d)
			}
			if rest != c.rest {
				t.Errorf("left for the body: %q, want %q", rest, c.rest)
			}
		})
	}
}

// TestReadHeaderSplit: how the octets arrive makes no difference.
func TestReadHeaderSplit(t *testing.T) {
	const in = "Received: from a by b;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\nFrom: a@b\r\n\r\nbody"
	for name, split := range map[string]func(io.Reader) io.Reader{
		"octets": iotest.OneByteReader, "halves": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
	} {
		r := bufio.NewReader(split(strings.NewReader(in)))
		h, err := ReadHeader(r, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(r)
		if got := string(h.Bytes()) + string(rest); got != in || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestReadHeaderBroken is P2: a connection that breaks is never the end of a
// message, not even when the reader says so only once.
func TestReadHeaderBroken(t *testing.T) {
	broken := errors.New("connection reset")
	const in = "From: a@b\r\nSubject: a subject\r\n\tgoes on\r\n\r\n"
	for n := range len(in) {
		for _, cause := range []error{broken, io.ErrUnexpectedEOF, fmt.Errorf("tls: %w", io.EOF)} {
			r := bufio.NewReader(&onceBroken{Reader: strings.NewReader(in[:n]), err: cause})
			if _, err := ReadHeader(r, 1<<20); !errors.Is(err, cause) {
				t.Errorf("after %d octets: %v, want %v", n, err, cause)
			}
		}
	}
}

// onceBroken ends with an error, and after it with EOF.
type onceBroken struct {
	io.Reader
	err error
}

func (r *onceBroken) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err == io.EOF && r.err != nil {
		err, r.err = r.err, nil
	}
	return n, err
}

// TestReadHeaderBounded is H5 and P17: limits hold to the octet, and what is
// refused is refused with something to do.
func TestReadHeaderBounded(t *testing.T) {
	const in = "A: 1\r\nB: 2\r\n"
	if _, _, err := readAll(t, in, len(in)); err != nil {
		t.Errorf("exactly at the limit: %v", err)
	}
	if _, _, err := readAll(t, in, len(in)-1); !errors.Is(err, ErrHeaderTooLarge) {
		t.Errorf("one octet over the limit: %v", err)
	}
	for name, in := range map[string]string{
		"1 MiB of fields":      strings.Repeat("A: 1\r\n", 1<<20/6+1),
		"one line of 1 MiB":    "A: " + strings.Repeat("x", 1<<20),
		"one field of 1 MiB":   "A: 1\r\n" + strings.Repeat("\t\r\n", 1<<20/3+1),
		"no end":               "A: 1\r\n" + strings.Repeat(" x", 1<<20),
		"10,001 little fields": strings.Repeat("A:\r\n", maxFields+1),
	} {
		if _, _, err := readAll(t, in, 1<<20); !errors.Is(err, ErrHeaderTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h, _, err := readAll(t, strings.Repeat("A:\r\n", maxFields), 1<<20)
	if err != nil || h.Count("a") != maxFields {
		t.Errorf("%d fields: %d, %v", maxFields, h.Count("a"), err)
	}
	if h, _, err = readAll(t, "A: "+strings.Repeat("x", 100<<10)+"\r\n", 1<<20); err != nil || len(h.Get("A")) != 100<<10 {
		t.Errorf("a line of 100 KiB: %d octets, %v", len(h.Get("A")), err)
	}
}

// TestHeaderLinear is H5: the worst headers that are let in cost little time,
// with all that the pipeline does to them.
func TestHeaderLinear(t *testing.T) {
	for name, in := range map[string]string{
		"10,000 fields":            strings.Repeat("Authentication-Results: "+strings.Repeat("(", 60)+"\r\n", maxFields),
		"one field, all folds":     "From: " + strings.Repeat("\r\n ", 340_000) + "a@b\r\n",
		"one address, 1 MB long":   "From: " + strings.Repeat("(", 1_000_000) + "\r\n",
		"comments":                 "Authentication-Results: " + strings.Repeat("()", 500_000) + "\r\n",
		"backslashes":              `From: "` + strings.Repeat(`\"`, 500_000) + "\r\n",
		"addresses":                "From: " + strings.Repeat("a@b.example,", 80_000) + "a@b.example\r\n",
		"encoded words":            "From: " + strings.Repeat("=?utf-8?q?a?= ", 70_000) + "<a@b.example>\r\n",
		"nested comments that end": "From: " + strings.Repeat("(", 400_000) + strings.Repeat(")", 400_000) + " a@b\r\n",
	} {
		start := time.Now()
		h, _, err := readAll(t, in, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _ = h.From()
		h.Remove(func(f Field) bool { return claimsServID(f.Value(), "mx.example.org") })
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func TestParseHeader(t *testing.T) {
	const in = "A: 1\r\nB: 2\r\n 3\r\n"
	h, err := ParseHeader([]byte(in))
	if err != nil || string(h.Bytes()) != in {
		t.Errorf("%q, %v", h.Bytes(), err)
	}
	for _, in := range []string{"\r\n", "A: 1\r\n\r\n", "A: 1\r\nno field\r\n"} {
		if _, err := ParseHeader([]byte(in)); err == nil {
			t.Errorf("ParseHeader(%q) succeeds", in)
		}
	}
}

// FuzzReadHeader: nothing is lost, nothing is added but CR before LF and the
// end of the last line; what is well formed stays byte for byte.
func FuzzReadHeader(f *testing.F) {
	for _, s := range []string{
		"A: 1\r\n\r\nbody", "A: 1\nB : 2\n x\n\nb", ":\r\n", " a\r\n", "A: 1", "A\x00: 1\r\n", "A: 1\r\n.\r\n", "A: 1\r\r\n\r\n", "A: \r\n \r\n",
		strings.Repeat("n", 300) + ":", "From: a\rb\r\n\r\n",
	} {
		f.Add([]byte(s), uint16(1000))
	}
	f.Fuzz(func(t *testing.T, in []byte, max uint16) {
		r := bufio.NewReader(iotest.HalfReader(bytes.NewReader(in)))
		h, err := ReadHeader(r, int(max))
		if err != nil {
			if !errors.Is(err, ErrHeaderTooLarge) || len(in) < int(max)/2 {
				t.Fatal(err)
			}
			return
		}
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		checkFields(t, &h)
		whole := h.Bytes()
		if d := len(in) - len(rest); d > 0 && in[d-1] != '\n' { // the last line had no end
			in = append(in[:d:d], "\r\n"...)
			if in[d-1] == '\r' {
				in = append(in[:d:d], '\n')
			}
		}
		if canonical(append(whole, rest...)) != canonical(in) {
			t.Fatalf("%q became %q and %q", in, whole, rest)
		}
		if wellFormed := canonical(in); string(in) == wellFormed && !strings.HasPrefix(wellFormed, string(whole)) {
			t.Fatalf("%q was changed to %q", in, whole)
		}
	})
}

// canonical ends every line with CRLF.
func canonical(b []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
}

// checkFields checks what every Field promises.
func checkFields(t *testing.T, h *Header) {
	t.Helper()
	for f := range h.All() {
		if !isFieldName([]byte(f.Name)) || !bytes.HasPrefix(f.Raw, []byte(f.Name)) || !bytes.HasSuffix(f.Raw, []byte("\r\n")) {
			t.Fatalf("field %q: %q", f.Name, f.Raw)
		}
		for line := range bytes.Lines(f.Raw[len(f.Name):]) {
			if !bytes.HasSuffix(line, []byte("\r\n")) {
				t.Fatalf("line %q of field %q", line, f.Name)
			}
		}
	}
}

// typicalHeader is that of a message that has come some way: 3 KiB.
var typicalHeader = func() string {
	var b strings.Builder
	for i := range 5 {
		fmt.Fprintf(&b, "Received: from mail%d.example.net (mail%d.example.net [192.0.2.%d])\r\n"+
			"\tby mx%d.example.org (Postfix) with ESMTPS id 4XyZ1234abcd\r\n"+
			"\tfor <someone@example.org>; Thu, 20 Aug 2026 10:00:0%d +0000 (UTC)\r\n", i, i, i, i, i)
	}
	b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=2026;\r\n")
	for range 8 {
		b.WriteString("\t" + strings.Repeat("bQ", 35) + "\r\n")
	}
	b.WriteString("From: Some One <someone@example.net>\r\nTo: Another <another@example.org>\r\nSubject: A typical subject\r\n" +
		"Date: Thu, 20 Aug 2026 09:59:59 +0000\r\nMessage-ID: <0123456789abcdef@example.net>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=\"=_0123456789abcdef\"\r\n")
	for i := b.Len(); i < 3000; i = b.Len() {
		fmt.Fprintf(&b, "X-Header-%d: %s\r\n", i, strings.Repeat("v", 60))
	}
	return b.String() + "\r\n"
}()

func BenchmarkReadHeader(b *testing.B) {
	src := strings.NewReader(typicalHeader)
	r := bufio.NewReaderSize(src, 16<<10)
	b.SetBytes(int64(len(typicalHeader)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(typicalHeader)
		r.Reset(src)
		if h, err := ReadHeader(r, 1<<20); err != nil || len(h.fields) < 10 {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseHeader reads the header of a message that is taken from the
// queue.
func BenchmarkParseHeader(b *testing.B) {
	header := []byte("Received: from client.example ([192.0.2.7]) by mail.example.com with ESMTPS id 01jd3m8zk6q0v9xwr5tn\r\n" +
		"\tfor <you@example.net>; Thu, 20 Aug 2026 10:00:00 +0000\r\n" +
		"From: Some One <a@example.org>\r\nTo: you@example.net\r\nSubject: A subject\r\nDate: Thu, 20 Aug 2026 10:00:00 +0000\r\n" +
		"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n")
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	for b.Loop() {
		if h, err := ParseHeader(header); err != nil || len(h.fields) != 8 {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceived makes the trace field of a message that came by TLS.
func BenchmarkReceived(b *testing.B) {
	s := user()
	s.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	tx := &Transaction{
		ID: "01jd3m8zk6q0v9xwr5tn", Session: s, Received: time.Now(),
		Envelope: Envelope{From: box(b, "a@example.org"), Recipients: []Recipient{{Mailbox: box(b, "u@x.example")}}},
	}
	b.ReportAllocs()
	for b.Loop() {
		received(tx, "mail.example.org")
	}
}
