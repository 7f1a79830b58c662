package resolver

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	queries *prometheus.CounterVec
	hits    prometheus.Counter
	seconds prometheus.Histogram
}

// newMetrics registers the metrics. Without a registerer nobody sees them.
func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waxwing_dns_queries_total",
			Help: "Questions to DNS servers, by what came back.",
		}, []string{"result"}),
		hits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waxwing_dns_cache_hits_total",
			Help: "Look-ups answered without a question to a DNS server.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "waxwing_dns_query_seconds",
			Help:    "From a question to the answer of the DNS server.",
			Buckets: []float64{.001, .01, .05, .25, 1, 5},
		}),
	}
	if reg != nil {
		reg.MustRegister(m.queries, m.hits, m.seconds)
	}
	return m
}

func (m *metrics) asked(r response, err error, took time.Duration) {
	m.queries.WithLabelValues(outcome(r, err)).Inc()
	if err == nil {
		m.seconds.Observe(took.Seconds())
	}
}

// outcome is one of a few words, whatever servers send.
func outcome(r response, err error) string {
	late, ok := errors.AsType[net.Error](err)
	switch {
	case ok && late.Timeout():
		return "timeout"
	case err != nil:
		return "error"
	}
	switch r.rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented:
		return strings.ToLower(dns.RcodeToString[r.rcode])
	}
	return "other"
}
