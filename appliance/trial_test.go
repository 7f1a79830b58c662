package appliance

import (
	"context"
	"io"
	"strings"
	"testing"
)

// TestTrial: a trial is the whole way of a message, and leaves nothing behind.
func TestTrial(t *testing.T) {
	var asked []string
	looks := check("looks", func(at Stage, tx *Transaction) (Verdict, error) {
		if at == AtContent {
			asked = append(asked, "check")
			return Verdict{Hold: "too much of it"}, nil
		}
		return Verdict{}, nil
	})
	signs := modifier(KindSigner, "s", func(tx *Transaction) error {
		asked = append(asked, "signer")
		tx.SignedBy = append(tx.SignedBy, "example.org")
		tx.Message.Header.Prepend(NewField("DKIM-Signature", "x"))
		return nil
	})
	b := open(t, &Pipeline{Checks: []Ref[Check]{looks}, Signers: []Ref[Modifier]{signs}, Alignment: AlignmentReject})
	var seen Accepted
	var content string
	trial := b.Trial(func(_ context.Context, a Accepted) error {
		body, err := a.Draft.Body()
		if err != nil {
			return err
		}
		r, err := body.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		seen, content = a, string(text)
		return err
	})
	try := &bench{Pipeline: trial, mem: b.mem, t: t}
	session := user()
	session.Trial = true
	if err := try.send(session, "a@example.org", "From: a@example.org\r\n\r\nhello\r\n", "u@x.example"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(asked, " "); got != "check signer" {
		t.Errorf("asked %s", got)
	}
	if content != "\r\nhello\r\n" || seen.Header.Count("DKIM-Signature") != 1 || seen.Header.Count("Received") != 1 || !seen.Deliveries[0].Held || seen.Origin.User != "app" {
		t.Errorf("saw %+v with %q", seen, content)
	}
	if len(b.got) != 0 || b.open != 0 || len(b.events) != 0 {
		t.Errorf("%d messages, %d drafts and %d events are left", len(b.got), b.open, len(b.events))
	}
	wantReply(t, try.send(session, "a@example.org", "From: a@other.example\r\n\r\n", "u@x.example"), "550 5.7.1")
	if len(b.events) != 0 {
		t.Errorf("a refusal was told: %+v", b.events)
	}
}

// TestTrialOfWhatHangs: the calls of a trial count as those of its pipeline.
func TestTrialOfWhatHangs(t *testing.T) {
	b := open(t, &Pipeline{Checks: []Ref[Check]{check("looks", func(Stage, *Transaction) (Verdict, error) { return Verdict{}, nil })}})
	b.overdue.add(Addr{KindCheck, "looks"}, maxLeftBehind)
	trial := &bench{Pipeline: b.Trial(func(context.Context, Accepted) error { return nil }), t: t}
	wantReply(t, trial.send(user(), "a@example.org", plain, "u@x.example"), "451 4.3.0")
}
