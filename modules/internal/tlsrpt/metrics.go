package tlsrpt

import "github.com/prometheus/client_golang/prometheus"

// What became of a report.
const (
	resultSent    = "sent"     // somebody took it
	resultFailed  = "failed"   // nobody took it in this attempt
	resultGivenUp = "given_up" // nobody took it in 24 hours
)

// What the results of sessions are beside those of RFC 8460, section 4.3.
const (
	sessionOK     = "ok"
	sessionNoRoom = "no_room" // not counted for a report
)

// metrics is what a Reporter counts for the administrator.
type metrics struct {
	reports  *prometheus.CounterVec
	sessions *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waxwing_tls_reports_total", Help: "Reports of TLS to domains, by what became of them.",
		}, []string{"result"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waxwing_tls_report_sessions_total", Help: "Sessions counted for reports of TLS, by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{resultSent, resultFailed, resultGivenUp} {
		m.reports.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(m.reports, m.sessions)
	}
	return m
}
