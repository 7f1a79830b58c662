package limits

import (
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestRelayLimits(t *testing.T) {
	rate := appliance.Rate{Count: 14, Per: time.Second}
	for _, tc := range []struct {
		limits RelayLimits
		want   string // of Explain
		wrong  bool
	}{
		{RelayLimits{}, "", false},
		{RelayLimits{Connections: 5}, "connections: at most 5 deliveries at a time, over all servers", false},
		{RelayLimits{Rate: rate}, "rate: 14/1s messages, over all servers", false},
		{RelayLimits{Connections: 5, Rate: rate}, "connections: at most 5 deliveries at a time, 14/1s messages, over all servers", false},
		{RelayLimits{Connections: -1}, "connections: ", true},
		{RelayLimits{Connections: maxConnections + 1}, "", true},
	} {
		if err := tc.limits.Check(); (err != nil) != tc.wrong {
			t.Errorf("%+v: %v", tc.limits, err)
		}
		if tc.wrong {
			continue
		}
		var got []string
		for _, a := range tc.limits.Explain() {
			got = append(got, a.Attr+": "+a.Text)
		}
		if strings.Join(got, "\n") != tc.want {
			t.Errorf("%+v: %q", tc.limits, got)
		}
		if l := tc.limits.Limits(); l.Connections != tc.limits.Connections || l.Rate != tc.limits.Rate {
			t.Errorf("%+v: the queue gets %+v", tc.limits, l)
		}
	}
}
