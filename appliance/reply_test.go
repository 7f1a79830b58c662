package appliance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestReplyTo is P8: what an error is to a client.
func TestReplyTo(t *testing.T) {
	if r := ReplyTo(nil); r != nil {
		t.Errorf("no error is %v", r)
	}
	own := NewReply(550, 7, 1, "No")
	if ReplyTo(own) != own {
		t.Error("a Reply is not itself")
	}
	var null *Reply
	for _, c := range []struct {
		name  string
		err   error
		want  string // what the client is told
		cause string // what the log is told besides, in part
	}{
		{"our fault", errLocal, "451 4.3.0 Local error, please try again later", "/data/secret.db"},
		{"wrapped", fmt.Errorf("check.spf: %w", own), "550 5.7.1 No", "check.spf"},
		{"wrapped, with a cause of its own", fmt.Errorf("check.spf: %w", own.With(errLocal)), "550 5.7.1 No", "/data/secret.db"},
		{"joined", errors.Join(errLocal, own), "550 5.7.1 No", "/data/secret.db"},
		{"nil in disguise", null, "451 4.3.0", "nil reply"},
		{"wrapped nil", fmt.Errorf("x: %w", null), "451 4.3.0", "x: nil reply"},
		{"positive", NewReply(250, 0, 0, "ok"), "451 4.3.0", "250 2.0.0 ok"},
		{"positive, wrapped", fmt.Errorf("x: %w", NewReply(220, 0, 0, "ok")), "451 4.3.0", "x: 220"},
		{"goes on", NewReply(354, 0, 0, "go on"), "451 4.3.0", "354"},
		{"zero", new(Reply), "451 4.3.0", "0 0.0.0"},
		{"out of range", NewReply(600, 0, 0, "?"), "451 4.3.0", "600"},
	} {
		r := ReplyTo(c.err)
		if r == nil || !strings.HasPrefix(r.String(), c.want) || r.Positive() {
			t.Errorf("%s: the client is told %v", c.name, r)
			continue
		}
		if !strings.Contains(r.Error(), c.cause) || strings.Contains(r.String(), c.cause) || r.Err == nil {
			t.Errorf("%s: the log is told %v", c.name, r.Error())
		}
		if c.name != "nil in disguise" && !errors.Is(r, c.err) && r.Err != errLocal {
			t.Errorf("%s: the cause is lost in %v", c.name, r)
		}
	}
	if own.Err != nil {
		t.Error("ReplyTo changed a reply that others share")
	}
}

func TestReplyForms(t *testing.T) {
	r := Replyf(452, 4, 5, "Only %d left\nof them", 3)
	if got := r.String(); got != "452 4.4.5 Only 3 left of them" {
		t.Errorf("String: %q", got)
	}
	if got := r.With(errLocal).Error(); !strings.HasSuffix(got, ": "+errLocal.Error()) || r.Err != nil {
		t.Errorf("Error: %q", got)
	}
	for code, class := range map[int][3]bool{250: {true}, 421: {false, true}, 554: {false, false, true}} {
		r := NewReply(code, 0, 0, "")
		if got := [3]bool{r.Positive(), r.Temporary(), r.Permanent()}; got != class {
			t.Errorf("%d is %v", code, got)
		}
	}
}

func TestReplyText(t *testing.T) {
	for in, want := range map[string]string{
		"550 5.1.2 No such domain": "550 5.1.2 No such domain",
		"451 4.7.1 Later":          "451 4.7.1 Later",
		"550 No":                   "550 5.0.0 No",
		"550 5.1 No":               "550 5.0.0 5.1 No", // not a status code: part of the text
		"559 5.123.456 No":         "559 5.123.456 No",
	} {
		if r := text(t, in); r.String() != want {
			t.Errorf("%q is %q, want %q", in, r.String(), want)
		}
	}
	for _, in := range []string{
		"", "550", "550 ", "250 2.0.0 Ok", "354 Go on", "650 x", "5500 x", "550x", "560 x", "550 4.1.2 classes differ", "550-more",
		"550 a\r\n250 b", "550 a\nb", "550 ä", "550 \x00", " 550 x", "550 " + strings.Repeat("x", 401), "reject",
	} {
		if err := new(ReplyText).UnmarshalText([]byte(in)); err == nil || !strings.Contains(err.Error(), "such as") {
			t.Errorf("%q: %v, want an error that says what to write", in, err)
		}
	}
}

// FuzzReplyText: what the file may say is a refusal that fits on a line.
func FuzzReplyText(f *testing.F) {
	for _, s := range []string{"550 5.1.2 No such domain", "451 x", "550 a\r\n250 b", "250 x", "550 4.1.1 x", "550 5.999.999 x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r ReplyText
		if err := r.UnmarshalText(in); err != nil {
			return
		}
		if r.Positive() || r.Code < 400 || r.Code > 599 || hasControl(r.String()) || !isASCII(r.Text) || len(r.String()) > 512 {
			t.Fatalf("%q is %q", in, r.String())
		}
		var again ReplyText
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again.Reply != r.Reply {
			t.Fatalf("%q is %q, and again %q: %v", in, r.String(), again.String(), err)
		}
	})
}
