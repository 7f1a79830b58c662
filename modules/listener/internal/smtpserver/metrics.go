package smtpserver

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of one listener; the registerer labels them with
// its address.
type metrics struct {
	open         prometheus.Gauge
	accepted     prometheus.Counter
	refused      *prometheus.CounterVec // by reason
	tooMuch      prometheus.Counter
	acceptFailed prometheus.Counter
	tlsFailed    prometheus.Counter
	notReady     prometheus.Counter
	mended       prometheus.Counter
	disconnected prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waxwing_smtp_connections", Help: "Open SMTP connections.",
		}),
		accepted: counter("waxwing_smtp_connections_accepted_total", "SMTP connections served."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waxwing_smtp_connections_refused_total",
			Help: "SMTP connections closed because there were too many: in all, of an address, of a user, in a time, or for the memory or the file descriptors.",
		}, []string{"reason"}),
		tooMuch:      counter("waxwing_smtp_message_rate_refused_total", "MAIL commands answered 450 because of limits.message_rate_per_ip."),
		acceptFailed: counter("waxwing_smtp_accept_failures_total", "Times that accepting paused because the system gave no connection, mostly for want of file descriptors."),
		tlsFailed:    counter("waxwing_smtp_tls_failures_total", "TLS handshakes with clients that failed."),
		notReady:     counter("waxwing_smtp_auth_not_ready_total", "AUTH commands answered 454 because there is no valid certificate yet."),
		mended:       counter("waxwing_smtp_mended_total", "Messages taken that had lines of more than 998 octets, which were encoded anew."),
		disconnected: counter("waxwing_smtp_disconnected_total", "Clients disconnected for errors, time-outs or protocol violations."),
	}
	for _, x := range refusals {
		m.refused.WithLabelValues(x.reason) // there from the first, so that an increase can be seen
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.open, m.accepted, m.refused, m.tooMuch, m.acceptFailed, m.tlsFailed, m.notReady, m.mended, m.disconnected} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
