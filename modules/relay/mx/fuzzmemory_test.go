package mx

import (
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// FuzzMemory: whatever the disk says of hosts and their TLS, the relay begins,
// goes on learning, and what it writes can be read.
func FuzzMemory(f *testing.F) {
	for _, text := range []string{
		`{"broken":{"192.0.2.1:25":"2026-07-01T00:00:00Z"},"genuine":{"mx.example.org":"9999-12-31T23:59:59Z"}}`,
		`{"broken":null,"genuine":{"":"0001-01-01T00:00:00Z"}}`, `{"broken":7}`, `{"broken":{"a":"never"}}`, `null`, `[]`, ``, `{`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := new(valuestest.Values)
		if err := v.Put(t.Context(), memoryKey, []byte(text)); err != nil {
			t.Fatal(err)
		}
		y, now := newMemory(), time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
		_ = y.load(t.Context(), v) // it is damaged, which the caller says in the log
		_, _ = y.broken("192.0.2.1:25", now), y.wasGenuine("mx.example.org", now)
		y.set(y.facts.Broken, "192.0.2.9:25", now.Add(time.Hour))
		if err := y.save(t.Context(), v, now); err != nil {
			t.Fatal(err)
		}
		again := newMemory()
		if err := again.load(t.Context(), v); err != nil || again.facts.Broken["192.0.2.9:25"].IsZero() {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
