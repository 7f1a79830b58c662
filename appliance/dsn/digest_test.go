package dsn

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// failures is a digest of so many messages, each with one recipient.
func failures(t testing.TB, n int, to func(i int) Recipient) *Digest {
	d := &Digest{Sender: mailbox(t, "ann@example.com"), Began: received}
	for i := range n {
		d.Add(appliance.QueueID(fmt.Sprintf("01jd3f8a9q%010d", i)), []Recipient{to(i)})
	}
	return d
}

func refusedRecipient(t testing.TB, address string, code, subject, detail int, text string) Recipient {
	return Recipient{
		Recipient: appliance.Recipient{Mailbox: mailbox(t, address)},
		Result:    appliance.Result{Reply: *appliance.NewReply(code, subject, detail, text), Remote: true},
	}
}

// TestDigestGolden_N17 compares a digest with testdata/digest.eml.
func TestDigestGolden_N17(t *testing.T) {
	d := failures(t, 150, func(i int) Recipient {
		switch {
		case i == 0:
			return refusedRecipient(t, "борис@example.net", 550, 1, 1, "H1\r\n.\r\nInjected: \x1b"+strings.Repeat(" no", 200))
		case i < 10:
			return Recipient{Recipient: appliance.Recipient{Mailbox: mailbox(t, "late@example.net")}, Status: "4.4.7"}
		}
		return refusedRecipient(t, fmt.Sprintf("user%d@example.org", i), 550, 1, 1, "No such user here")
	})
	env, h, body := d.Build(report(t), mailbox(t, "postmaster@example.com"))
	if !env.From.IsNull() || len(env.Recipients) != 2 || env.Recipients[1].Notify != appliance.NotifyNever || env.SMTPUTF8 {
		t.Errorf("envelope %+v", env)
	}
	if !isPlain(h.Bytes()) || !isPlain(body) {
		t.Error("the digest is not 7bit")
	}
	got := append(h.Bytes(), body...)
	const path = "testdata/digest.eml"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDigestBounded_N17: it counts everything and grows to a bound.
func TestDigestBounded_N17(t *testing.T) {
	many := failures(t, 10_000, func(i int) Recipient {
		return refusedRecipient(t, fmt.Sprintf("user@d%d.example.org", i), 550, 1, 1, strings.Repeat("no ", 1000))
	})
	_, h, body := many.Build(report(t), appliance.Mailbox{})
	if len(body) > 200<<10 || !strings.Contains(string(body), "9951  others") || h.Get("Subject") != "10000 messages could not be delivered" {
		t.Errorf("%d octets, %q: %.1000s", len(body), h.Get("Subject"), body)
	}
	if h.Count("Cc") != 0 {
		t.Error("there is no postmaster, but a Cc field")
	}
}

// TestDigestRecipients: nobody gets it twice, and who has an international
// address gets it.
func TestDigestRecipients(t *testing.T) {
	d := failures(t, 1, func(int) Recipient { return refusedRecipient(t, "x@example.org", 550, 1, 1, "no") })
	d.RequireTLS = true
	env, _, _ := d.Build(Report{Time: time.Now(), MessageID: "x", Hostname: "mail.example.com"}, d.Sender)
	if len(env.Recipients) != 1 || !env.RequireTLS {
		t.Errorf("envelope %+v", env)
	}
	d.Sender = mailbox(t, "анна@example.com")
	if env, _, _ = d.Build(report(t), appliance.Mailbox{}); !env.SMTPUTF8 {
		t.Error("no SMTPUTF8")
	}
}
