package mx

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// What the metric calls policies that are our own.
const (
	labelConfigured    = "configured"
	labelOpportunistic = "opportunistic"
)

// newPolicyMetric counts what became of TLS, for each new connection and for
// each host that came to none. The results are "ok" and the failures of RFC
// 8460, section 4.3.
func newPolicyMetric(reg prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "waxwing_relay_tls_policy_total", Help: "New connections to mail exchangers, by who demands TLS and what became of it.",
	}, []string{"policy", "result"})
	if reg != nil {
		reg.MustRegister(c)
	}
	return c
}

func (m *MX) count(policy, result string) { m.counted.WithLabelValues(policy, result).Inc() }

// observe is told by the pool how far a new connection came with TLS.
func (m *MX) observe(ctx context.Context, r smtpconn.TLSReport) {
	label := string(r.Target.Policy)
	switch {
	case label != "":
	case r.Target.TLS == smtpconn.TLSOpportunistic:
		label = labelOpportunistic
	default:
		label = labelConfigured
	}
	met := r.Met()
	if r.Target.Policy == smtpconn.PolicyTesting {
		met = r.Err == nil
		m.rehearse(r)
	}
	if met {
		m.count(label, "ok")
	} else {
		m.count(label, cmp.Or(r.Reason(), smtpconn.ValidationFailure))
	}
	m.reportSession(ctx, r, met)
	if m.memory.learn(r, time.Now()) {
		m.log.Warn("a mail exchanger that had TLS with a valid certificate has none now; see tls_downgrade",
			zap.String("host", r.Target.Name), zap.Stringer("peer", r.Target.Addr), zap.Error(r.Err))
	}
}

// rehearse says what an MTA-STS policy would do if it were enforced.
func (m *MX) rehearse(r smtpconn.TLSReport) {
	if r.Err != nil {
		m.log.Info("MTA-STS, testing: this mail exchanger would get no mail if the policy were enforced",
			zap.String("host", r.Target.Name), zap.Stringer("peer", r.Target.Addr), zap.String("why", r.Reason()), zap.Error(r.Err))
	}
}
