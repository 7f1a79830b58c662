package selfsigned

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// TestStartSays: each start says that clients will refuse the certificate,
// not only the one that makes it.
func TestStartSays(t *testing.T) {
	v := new(valuestest.Values)
	for i, want := range []int{2, 1} { // the first makes it as well
		core, logs := observer.New(zap.InfoLevel)
		s := new(SelfSigned)
		if err := s.Provision(&appliance.Context{Log: zap.New(core), Hostname: "mail.example.com", Values: v, Metrics: prometheus.NewRegistry()}); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop(t, s)
		all := logs.All()
		if len(all) != want || !strings.Contains(all[len(all)-1].Message, "clients that verify certificates refuse it") {
			t.Errorf("start %d: %v", i+1, all)
		}
	}
}
