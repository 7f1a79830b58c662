package dkim

import (
	"strings"
	"testing"
	"time"

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

// FuzzParseLife: states that are taken can be written, read, and gone on with;
// their selectors are fit for the store and the DNS.
func FuzzParseLife(f *testing.F) {
	f.Add([]byte(`{"version":1,"keys":[{"selector":"waxwing","slot":"rsa","series":"waxwing","algorithm":"rsa2048","state":"current","since":"2026-01-01T00:00:00Z"},`+
		`{"selector":"waxwing-20260701","slot":"rsa","series":"waxwing","algorithm":"rsa2048","state":"next","since":"2026-07-01T00:00:00Z","shown":"2026-07-01T00:05:00Z","looks":2}]}`), int64(1782864000))
	f.Add([]byte(`{"version":1,"keys":[{"selector":"a","slot":"ed25519","state":"retired","record":"v=DKIM1; p=","gone":true}]}`), int64(0))
	f.Add([]byte(`{"version":1,"keys":[null]}`), int64(-1))
	d := configured(func(d *DKIM) { d.Algorithms, d.Rotate = []string{RSA2048, Ed25519}, leastRotate })
	p, err := d.makePlan()
	if err != nil {
		f.Fatal(err)
	}
	d.plan = p
	f.Fuzz(func(t *testing.T, text []byte, seconds int64) {
		l, err := parseLife("example.com", text)
		if err != nil {
			return
		}
		written := l.marshal()
		again, err := parseLife("example.com", written)
		if err != nil || string(again.marshal()) != string(written) {
			t.Fatalf("states that do not survive: %v", err)
		}
		now := time.Unix(seconds%(1<<33), 0)
		l.due(now)
		for _, k := range l.Keys {
			if err := appliance.CheckValueKey(valueKey("example.com", k.Selector)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range d.lacking(l, "example.com", now) {
			name, err := l.selector(want.wanted, want.exact, now)
			if err != nil || l.find(name) != nil {
				t.Fatalf("the next selector is %q, %v", name, err)
			}
		}
		newRing().with("example.com", &held{life: l}, p)
	})
}
