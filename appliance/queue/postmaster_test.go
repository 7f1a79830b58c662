package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestPostmasterUnreachable_N17: neither the sender nor the postmaster can be
// told of a flood of failures. The reports and the digests fail in their turn,
// at once or after five days; nothing reports about them, and nothing is left.
func TestPostmasterUnreachable_N17(t *testing.T) {
	for name, refusal := range map[string]answer{
		"refused": says(550, 1, 1, "no such user"), "away": silence(time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const messages, limit = 300, 10
				h := rationed(t, limit).start()
				h.relay.answer("example.com", refusal)
				h.relay.answer("example.net", refusal)
				for i := range messages {
					h.send("ann@example.com", fmt.Sprintf("user%d@example.org", i))
				}
				after(7 * 24 * time.Hour)
				reports, digests := written(h)
				if reports != limit || len(digests) != 1 {
					t.Errorf("%d reports and %d digests", reports, len(digests))
				}
				// Each message, each report and the digest to both of its readers.
				if n := len(h.told(appliance.EventBounced)); n != messages+limit+2 {
					t.Errorf("%d have failed for good", n)
				}
				if n := len(h.store.left()); n != 0 {
					t.Errorf("%d are left", n)
				}
			})
		})
	}
}
