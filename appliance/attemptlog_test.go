package appliance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// hugeAttempt is as large as strangers and relays can make one.
func hugeAttempt(n int) Attempt {
	long := strings.Repeat("ä", 5000)
	a := Attempt{Number: n, Began: time.Unix(int64(n), 0), Took: time.Minute}
	for i := range 40 {
		a.Tries = append(a.Tries, Try{
			Host: fmt.Sprint(i, long), Peer: long, TLS: long, Reply: *NewReply(451, 4, 1, long).With(errors.New(long)),
			Dialogue: strings.Repeat("C: NOOP\nS: 250 ok\n", 500),
		})
		a.Outcomes = append(a.Outcomes, AttemptOutcome{Recipients: make([]int, 20), Result: Result{Reply: *NewReply(451, 0, 0, long), Host: long, Peer: long, TLS: long}})
	}
	return a
}

// TestRememberIsBounded: whatever an attempt was like, and however many there
// are, a delivery remembers a bounded number of octets, and the newest attempt
// is among them.
func TestRememberIsBounded(t *testing.T) {
	var all []Attempt
	for n := range 30 {
		all = Remember(all, hugeAttempt(n+1))
		size := 0
		for i := range all {
			size += all[i].size()
		}
		if size > maxMemory || len(all) > maxAttempts {
			t.Fatalf("%d attempts take %d octets", len(all), size)
		}
		last := all[len(all)-1]
		if last.Number != n+1 || len(last.Tries) != maxTries || !strings.HasPrefix(last.Tries[maxTries-1].Host, "39") {
			t.Fatalf("the newest attempt is %d, with %d tries", last.Number, len(last.Tries))
		}
		for _, text := range []string{last.Tries[0].Host, last.Tries[0].Reply.Text, last.Tries[0].Reply.Err.Error()} {
			if !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
				t.Fatalf("cut badly: %q", text)
			}
		}
	}
}

// TestRememberDialogues: attempts of an ordinary size are kept, ten of them,
// and the dialogues of the newest.
func TestRememberDialogues(t *testing.T) {
	var all []Attempt
	for n := range 12 {
		all = Remember(all, Attempt{Number: n + 1, Tries: []Try{{Host: "mx.example.net", Dialogue: strings.Repeat("S: 250 ok\n", 350)}}})
	}
	if len(all) != maxAttempts || all[0].Number != 3 {
		t.Fatalf("%d attempts, the first is %d", len(all), all[0].Number)
	}
	for i, a := range all {
		if kept, want := a.Tries[0].Dialogue != "", i >= 6; kept != want {
			t.Errorf("attempt %d: dialogue kept: %t", a.Number, kept)
		}
	}
}

// TestCutDialogue: the beginning and the end stay, in whole lines.
func TestCutDialogue(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "C: line %d\n", i)
	}
	got := cutDialogue(b.String(), 1000)
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(got) > 1000 || lines[0] != "C: line 0" || lines[len(lines)-1] != "C: line 999" || !strings.Contains(got, "\n-- …\nC: line 9") {
		t.Errorf("%d octets: %q", len(got), got)
	}
	if got := cutDialogue(b.String(), 300); got != "" {
		t.Errorf("too little room, and yet %q", got)
	}
}

// TestRememberKeepsItsArguments: what is remembered is shared with nobody.
func TestRememberKeepsItsArguments(t *testing.T) {
	one := Remember(nil, Attempt{Tries: []Try{{Dialogue: strings.Repeat("S: 250 ok\n", 400)}}})
	before := one[0].Tries[0].Dialogue
	for range maxAttempts {
		Remember(one, Attempt{Tries: []Try{{Dialogue: strings.Repeat("S: 250 ok\n", 400)}}})
	}
	all := one
	for range 6 {
		all = Remember(all, Attempt{Tries: []Try{{Dialogue: before}}})
	}
	if one[0].Tries[0].Dialogue != before || all[0].Tries[0].Dialogue != "" {
		t.Error("an attempt lost its dialogue in the hands of its owner")
	}
}
