package discard

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestDiscard(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := New()
	if err := d.Provision(&appliance.Context{Metrics: reg}); err != nil {
		t.Fatal(err)
	}
	env := appliance.Envelope{Recipients: make([]appliance.Recipient, 3)}
	rs := d.Deliver(t.Context(), env, new(appliance.Message))
	if len(rs) != 3 || !rs[2].Reply.Positive() || rs[2].Remote {
		t.Errorf("%+v", rs)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	if got["waxwing_relay_discarded_messages_total"] != 1 || got["waxwing_relay_discarded_recipients_total"] != 3 {
		t.Errorf("counted %v", got)
	}
	if a, b := d.NextHop(appliance.Mailbox{Domain: "a.test"}), d.NextHop(appliance.Mailbox{Domain: "b.test"}); a != b {
		t.Errorf("next hops %q and %q", a, b)
	}
}
