package dkim

import (
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// FuzzSign: P15 for any message that a listener lets pass: it is refused with
// a reason, or not ours, or what we added verifies.
func FuzzSign(f *testing.F) {
	for _, m := range messages {
		if len(m.raw) < 10_000 {
			f.Add(m.raw)
		}
	}
	f.Add("From: a@example.com\r\nnot a field\r\n\r\ntext\r\n")
	d := configured(func(d *DKIM) { d.Algorithms = []string{Ed25519} })
	start(f, d, stocked(f, "example.com"))
	f.Fuzz(func(t *testing.T, raw string) {
		crlf := strings.Count(raw, "\r\n")
		if strings.Count(raw, "\r") != crlf || strings.Count(raw, "\n") != crlf || strings.Contains(raw, "\x00") {
			t.Skip("no listener lets this pass")
		}
		tx := parse(t, raw)
		// As the pipeline does: an empty line before what is no field.
		if body := string(tx.Message.Body.(appliance.BytesBody)); body != "" && !strings.HasPrefix(body, "\r\n") {
			tx.Message.Body = appliance.BytesBody("\r\n" + body)
		}
		ours := d.responsible(&tx.Message.Header) != ""
		before := wire(t, tx)
		err := d.Modify(t.Context(), tx)
		after := wire(t, tx)
		switch {
		case err != nil && appliance.ReplyTo(err).Code != 550:
			t.Fatalf("%v", err)
		case err != nil || !ours:
			if after != before {
				t.Fatal("not signed, but changed")
			}
		case !strings.HasSuffix(after, before):
			t.Fatal("more than the signature was changed")
		default:
			if v := verify(t, d, after)[0]; v.Err != nil {
				t.Fatalf("%v in\n%q", v.Err, after)
			}
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(rsaKey.PEM())
	f.Add(edKey.PEM())
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := ParseKey(file)
		if err != nil {
			return
		}
		if again, err := ParseKey(k.PEM()); err != nil || again.Record("d", "s") != k.Record("d", "s") {
			t.Errorf("a key that does not survive: %v", err)
		}
	})
}
