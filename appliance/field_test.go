package appliance

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNewField(t *testing.T) {
	long := strings.Repeat("word ", 40)
	for _, c := range []struct{ name, value, raw string }{
		{"Subject", "hello", "Subject: hello\r\n"},
		{"Subject", "", "Subject:\r\n"},
		{"Subject", "  padded\t", "Subject: padded\r\n"},
		{"Subject", "two  spaces\tand a tab", "Subject: two  spaces\tand a tab\r\n"},
		{"Subject", "a\r\nBcc: everybody@example.org\r\n\r\nbody", "Subject: a??Bcc: everybody@example.org????body\r\n"},
		{"Subject", "nul\x00 esc\x1b del\x7f c1\u0085 ls\u2028 bidi\u202e bad\xff", "Subject: nul? esc? del? c1? ls? bidi? bad?\r\n"},
		{"Subject", "grüße\u00a0no break", "Subject: grüße\u00a0no break\r\n"},
		{"X", strings.TrimSpace(long), "X:" + strings.Repeat(" word", 15) + "\r\n" + strings.Repeat(" word", 15) + "\r\n" +
			strings.Repeat(" word", 10) + "\r\n"},
		{"X", "a" + strings.Repeat(" ", 100) + "b", "X: a b\r\n"},
		{"X", strings.Repeat("ü", 400), "X: " + strings.Repeat("ü", 350) + "\r\n " + strings.Repeat("ü", 50) + "\r\n"},
	} {
		if f := NewField(c.name, c.value); f.Name != c.name || string(f.Raw) != c.raw {
			t.Errorf("NewField(%q, %.40q) = %q\nwant %q", c.name, c.value, f.Raw, c.raw)
		}
	}
}

func TestNewFieldPanics(t *testing.T) {
	for _, name := range []string{"", "a b", "a:", "a\r\nb", "ä", strings.Repeat("n", maxFieldName+1)} {
		if got := panics(func() { NewField(name, "value") }); !strings.Contains(got, "no field name") {
			t.Errorf("NewField(%q) panics with %q", name, got)
		}
	}
}

func TestFieldValue(t *testing.T) {
	for raw, want := range map[string]string{
		"A: b\r\n": "b", "A:b\r\n": "b", "A :\t b \r\n": "b", "A:\r\n": "", "A:\r\n b\r\n\tc\r\n": "b\tc", "A: b:c\r\n": "b:c",
		"A: b\r\n \r\n": "b",
	} {
		if got := (Field{Name: "A", Raw: []byte(raw)}).Value(); got != want {
			t.Errorf("value of %q is %q, want %q", raw, got, want)
		}
	}
}

// FuzzNewField is H1: whatever a stranger put into a value, it is the value
// of exactly one field.
func FuzzNewField(f *testing.F) {
	for _, s := range []string{
		"a", "a\r\nB: c", "\r\n\r\nbody", "a\x00b", strings.Repeat("x", 3000), strings.Repeat("a ", 500), strings.Repeat(" ", 2000) + "x",
		"a\n b", "\xff\xfe", strings.Repeat("€", 700), "a" + strings.Repeat("\t", 80) + "b", ": :",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		field := NewField("X-Fuzz", value)
		checkOneField(t, field, value)
		if plain := strings.Trim(printable(value), " \t"); !unfoldable(plain) && field.Value() != plain {
			t.Fatalf("%q unfolds to %q", plain, field.Value())
		}
	})
}

// checkOneField checks that f is one field that fits into any message.
func checkOneField(t *testing.T, f Field, value string) {
	t.Helper()
	h, err := ParseHeader(f.Raw)
	if err != nil || len(h.fields) != 1 || h.fields[0].Name != f.Name || !bytes.Equal(h.fields[0].Raw, f.Raw) {
		t.Fatalf("%q became %q: %d fields, %v", value, f.Raw, len(h.fields), err)
	}
	if !utf8.Valid(f.Raw) {
		t.Fatalf("%q became %q: not UTF-8", value, f.Raw)
	}
	for line := range bytes.Lines(f.Raw) {
		text := bytes.TrimSuffix(line, []byte("\r\n"))
		if len(text) > 998 || bytes.ContainsAny(text, "\r\n\x00") {
			t.Fatalf("%q has the line %q", value, text)
		}
		// RFC 5322, section 3.2.2: no line of a folded field is white space only.
		if len(bytes.TrimSpace(text)) == 0 {
			t.Fatalf("%q has a line of white space: %q", value, f.Raw)
		}
	}
}

// unfoldable says whether s has to be changed to keep lines short.
func unfoldable(s string) bool {
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' || r == '\t' }) {
		if len(word) > maxWord {
			return true
		}
	}
	return strings.Contains(strings.ReplaceAll(s, "\t", " "), strings.Repeat(" ", maxColumn+1))
}

func TestHeaderEdits(t *testing.T) {
	h, err := ParseHeader([]byte("A: 1\r\nb: 2\r\na: 3\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := h.fields[0].Raw, string(h.fields[1].Raw)
	_ = append(first, "overflow"...)
	if got := string(h.fields[1].Raw); got != second {
		t.Fatalf("appending to a field changes the next one to %q", got)
	}
	c := h.Clone()
	c.Prepend(NewField("Z", "0"))
	c.Append(NewField("Y", "9"))
	if n := c.Remove(func(f Field) bool { return strings.EqualFold(f.Name, "A") }); n != 2 {
		t.Errorf("removed %d fields, want 2", n)
	}
	if got := string(c.Bytes()); got != "Z: 0\r\nb: 2\r\nY: 9\r\n" {
		t.Errorf("edited: %q", got)
	}
	if got := string(h.Bytes()); got != "A: 1\r\nb: 2\r\na: 3\r\n" {
		t.Errorf("the original became %q", got)
	}
	if h.Count("A") != 2 || h.Get("a") != "1" || strings.Join(h.Values("A"), ",") != "1,3" || h.Get("none") != "" {
		t.Errorf("Count %d, Get %q, Values %q", h.Count("A"), h.Get("a"), h.Values("A"))
	}
	var b bytes.Buffer
	if n, err := h.WriteTo(&b); err != nil || n != int64(h.Len()) || b.String() != string(h.Bytes()) {
		t.Errorf("WriteTo: %d, %v, %q", n, err, b.String())
	}
}
