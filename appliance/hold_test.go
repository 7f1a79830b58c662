package appliance

import (
	"strings"
	"testing"
)

// TestHold: a message that a check holds is accepted, and none of its
// deliveries is due; it says why, and there is an event beside that of the 250.
func TestHold(t *testing.T) {
	b := open(t, &Pipeline{Checks: []Ref[Check]{
		check("first", func(at Stage, _ *Transaction) (Verdict, error) {
			if at == AtContent {
				return Verdict{Hold: "too much of it"}, nil
			}
			return Verdict{}, nil
		}),
		check("second", func(Stage, *Transaction) (Verdict, error) { return Verdict{Hold: "another reason"}, nil }),
	}})
	b.Checks[1], b.Checks[0] = b.Checks[0], b.Checks[1]
	if err := b.send(user(), "a@example.org", "Subject: x\r\n\r\nx\r\n", "b@example.net", "c@example.com"); err != nil {
		t.Fatal(err)
	}
	if len(b.got) != 1 || len(b.got[0].Deliveries) != 2 {
		t.Fatalf("%+v", b.got)
	}
	for _, d := range b.got[0].Deliveries {
		last := d.Recipients[0].Last.Reply
		if !d.Held || last.String() != "450 4.7.1 Held for the administrator to look at: another reason" || d.Recipients[0].When != noon {
			t.Errorf("%+v", d)
		}
	}
	if kinds := b.kinds(); !strings.HasPrefix(kinds, "accepted") || !strings.Contains(kinds, "held:4.7.1") {
		t.Errorf("events %s", kinds)
	}
}
