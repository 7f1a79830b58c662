package mtasts

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// FuzzShelf: whatever the disk says is the policy of a domain, it is one, or
// there is none and the log says so.
func FuzzShelf(f *testing.F) {
	for _, text := range []string{
		`{"domain":"example.org","id":"1","fetched":"2026-07-01T00:00:00Z","policy":{"mode":"enforce","max_age":86400000000000,"mx":["mx.example.org"]}}`,
		`{"domain":"example.org","fetched":"9999-12-31T23:59:59Z","policy":{"mode":"other","max_age":9223372036854775807}}`,
		`{"domain":"example.org","policy":{"max_age":-9223372036854775808,"mx":["","*.","*.*"]}}`,
		`{"domain":"example.com"}`, `{"domain":"example.org","policy":{"mode":"enforce"}}`, `null`, `[]`, `{"policy":7}`, ``, `{`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		core, said := observer.New(zap.WarnLevel)
		s := shelf{values: new(valuestest.Values), log: zap.New(core)}
		if err := s.values.Put(t.Context(), key("example.org"), []byte(text)); err != nil {
			t.Fatal(err)
		}
		r, err := s.load(t.Context(), "example.org")
		switch {
		case err != nil:
			t.Fatal(err)
		case r == nil && said.Len() != 1:
			t.Errorf("what cannot be read is named %d times", said.Len())
		case r != nil:
			now := time.Now()
			_, _, _ = r.inForce(now), r.stale(now), r.Policy.Matches("mx.example.org")
			if p := &r.Policy; p.Mode != mtasts.Enforce && p.Mode != mtasts.Testing && p.Mode != mtasts.None || p.MaxAge < 0 || p.Mode == mtasts.Enforce && len(p.MX) == 0 {
				t.Errorf("this is taken for a policy: %+v", p)
			}
		}
	})
}
