package cmd

import (
	"io"
	"net/mail"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMessageOfStandardInput(t *testing.T) {
	for _, c := range []struct {
		name, in, from string
		extract        bool
		message        string
		to             []string
	}{
		{"whole", "From: a@example.com\nTo: b@example.org\n\nx\n", "a@example.com", false,
			"From: a@example.com\r\nTo: b@example.org\r\n\nx\n", nil},
		{"recipients of the header", "From: A <a@example.com>\nTo: B <b@example.org>, team: c@example.org, d@example.org;\nCc:\nBcc: e@example.org\n\n", "a@example.com", true,
			"", []string{"b@example.org", "c@example.org", "d@example.org", "e@example.org"}},
		{"no empty line", "From: a@example.com\nnot a field\n", "a@example.com", false,
			"From: a@example.com\r\n\r\nnot a field\n", nil},
		{"header only", "From: a@example.com\n", "a@example.com", false, "From: a@example.com\r\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := sendJob{program: &program{in: strings.NewReader(c.in)}, extract: c.extract}
			r, err := j.message()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || c.message != "" && string(got) != c.message {
				t.Errorf("got %q, %v", got, err)
			}
			if diff := cmp.Diff(c.to, j.to); diff != "" || j.from != c.from {
				t.Errorf("from %q, to:\n%s", j.from, diff)
			}
		})
	}
}

// TestCompose makes messages that another parser reads as they were meant.
func TestCompose(t *testing.T) {
	in := "Grüße,\n.\n" + strings.Repeat("long ", 300) + "\n"
	j := sendJob{
		program: &program{in: strings.NewReader(in)},
		from:    "a@example.com", to: []string{"b@example.org", "<c@example.org>"},
		subject: "Grüße", headers: []string{"X-Test: yes"},
	}
	r, err := j.message()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\r\n") && line != lastLine(string(text)) || len(line) > 998 {
			t.Errorf("line %q", line)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From": "<a@example.com>", "To": "<b@example.org>, <c@example.org>", "Subject": "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
		"X-Test": "yes", "Content-Transfer-Encoding": "quoted-printable",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if decoded("=?utf-8?q?Gr=C3=BC=C3=9Fe?=") != "Grüße" {
		t.Error("the subject does not come back")
	}
}

func lastLine(s string) string { return s[strings.LastIndex(s, "\n")+1:] }

func TestComposeRefusesInjection(t *testing.T) {
	for _, field := range []string{"no colon", ": x", "X Y: z", "X: a\r\nBcc: victim@example.org", "X\n: a", "Ü: x"} {
		j := sendJob{program: &program{in: strings.NewReader("")}, composed: true, hasBody: true, from: "a@example.com", headers: []string{field}}
		if _, err := j.message(); err == nil {
			t.Errorf("%q was taken", field)
		}
	}
	j := sendJob{program: &program{}, composed: true, hasBody: true, from: "a@example.com", to: []string{"b@example.org\r\nBcc: x@example.org"}, subject: "a\r\nBcc: y@example.org"}
	r, err := j.message()
	if err != nil {
		return
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(string(text)))
	if err != nil || m.Header.Get("Bcc") != "" {
		t.Errorf("a field was smuggled in: %v\n%s", err, text)
	}
}

// TestComposeNobody: a message whose envelope names nobody has a From field all
// the same.
func TestComposeNobody(t *testing.T) {
	j := sendJob{program: &program{in: strings.NewReader("hello\n")}, from: "<>"}
	if _, err := j.message(); err == nil || !strings.Contains(err.Error(), "--header") {
		t.Errorf("without a From field: %v", err)
	}
	j.in, j.composed, j.headers = strings.NewReader("hello\n"), true, []string{"From: a@example.com"}
	r, err := j.message()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || strings.Count(string(text), "From: a@example.com\r\n") != 1 {
		t.Errorf("%q, %v", text, err)
	}
}
