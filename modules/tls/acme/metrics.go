package acme

import "github.com/prometheus/client_golang/prometheus"

// The results of an attempt in which something happened.
const (
	resultObtained = "obtained"
	resultRenewed  = "renewed"
	resultFailed   = "failed"
)

type metrics struct{ issuance *prometheus.CounterVec }

// newMetrics registers the metrics. A nil registerer is none.
func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "waxwing_tls_issuance_total",
		Help: "Attempts to get a certificate, by their result: obtained, renewed, or failed.",
	}, []string{"result"})}
	for _, result := range []string{resultObtained, resultRenewed, resultFailed} {
		m.issuance.WithLabelValues(result) // a rate needs the zero before the one
	}
	if r == nil {
		return m, nil
	}
	return m, r.Register(m.issuance)
}

func (m metrics) count(result string) { m.issuance.WithLabelValues(result).Inc() }
