package smtpserver

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of one listener; the registerer labels them with
// its address.
type metrics struct {
	open              prometheus.Gauge
	accepted, refused prometheus.Counter
	tlsFailed         prometheus.Counter
	notReady          prometheus.Counter
	mended            prometheus.Counter
	disconnected      prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waxwing_smtp_connections", Help: "Open SMTP connections.",
		}),
		accepted:     counter("waxwing_smtp_connections_accepted_total", "SMTP connections served."),
		refused:      counter("waxwing_smtp_connections_refused_total", "SMTP connections refused because there were too many."),
		tlsFailed:    counter("waxwing_smtp_tls_failures_total", "TLS handshakes with clients that failed."),
		notReady:     counter("waxwing_smtp_auth_not_ready_total", "AUTH commands answered 454 because there is no valid certificate yet."),
		mended:       counter("waxwing_smtp_mended_total", "Messages taken that had lines of more than 998 octets, which were encoded anew."),
		disconnected: counter("waxwing_smtp_disconnected_total", "Clients disconnected for errors, time-outs or protocol violations."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.open, m.accepted, m.refused, m.tlsFailed, m.notReady, m.mended, m.disconnected} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
