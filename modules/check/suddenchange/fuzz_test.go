package suddenchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// FuzzRecord: whatever the disk says of a user, the check starts, gives its
// verdict, and stores no more than it is meant to.
func FuzzRecord(f *testing.F) {
	for _, record := range []string{
		`{"since":"2026-07-01T00:00:00Z","days":[{"day":20600,"most":[2,1,0]},{"day":20601,"most":[2,1,0]}],"domains":[1,2,3]}`,
		`{"since":"9999-12-31T23:59:59Z","days":[{"day":9223372036854775807,"most":[-1,-1,-1]},{"day":-9223372036854775808}]}`,
		`{"hour":[{"step":9223372036854775807,"counts":[1]},{"step":-9223372036854775808,"counts":[1,2]},{"step":0,"counts":[]}]}`,
		`{"held":{"step":5957000,"counts":[9223372036854775807,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]},"told":"0001-01-01T00:00:00Z"}`,
		`null`, `[]`, `{"hour":7}`, `{"since":"yesterday"}`, `{`,
	} {
		f.Add(record)
	}
	sum := sha256.Sum256([]byte("app"))
	key := "users/" + hex.EncodeToString(sum[:16])
	f.Fuzz(func(t *testing.T, text string) {
		v := new(valuestest.Values)
		if err := v.Put(t.Context(), key, []byte(`{"user":"app","record":`+text+`}`)); err != nil {
			t.Fatal(err)
		}
		r := start(t, v)
		for range 3 {
			r.verdict("app", 3, "stranger.example")
		}
		if err := r.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		list, err := v.List(t.Context(), "users/")
		if err != nil || len(list) > 1 {
			t.Fatalf("%d records, %v", len(list), err)
		}
		if len(list) == 1 && list[0].Size > 16<<10 {
			t.Errorf("%d octets are stored of one user", list[0].Size)
		}
	})
}
