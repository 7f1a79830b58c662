package appliance

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// eventMetrics counts events.
type eventMetrics struct {
	accepted, refused, unaligned, authFailed, outcomes, failures, signed *prometheus.CounterVec

	age *prometheus.HistogramVec
}

func newEventMetrics(r prometheus.Registerer) *eventMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waxwing_" + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	m := &eventMetrics{
		accepted:   counter("messages_accepted_total", "Messages answered 250 after they became durable.", "listener"),
		refused:    counter("commands_refused_total", "MAIL, RCPT and DATA commands answered 4yz or 5yz.", "listener", "code"),
		unaligned:  counter("messages_unaligned_total", "Messages taken though neither a signature nor SPF can vouch for their From domain.", "listener"),
		authFailed: counter("auth_failures_total", "AUTH commands answered 4yz or 5yz.", "listener"),
		outcomes:   counter("recipients_total", "Outcomes of delivery attempts, by recipient.", "relay", "result"),
		failures:   counter("recipient_failures_total", "Delivery attempts that failed, by recipient and by what the reply is about.", "relay", "class"),
		signed:     counter("dkim_signed_total", "Messages signed, by signing domain.", "domain"),
		age: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "waxwing_delivery_age_seconds",
			Help:    "From the 250 we gave to the 250 we got, by recipient.",
			Buckets: []float64{.01, .05, .25, 1, 5, 30, 120, 600, 3600, 14400, 86400},
		}, []string{"relay"}),
	}
	r.MustRegister(m.age, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Emit implements EventSink.
func (m *eventMetrics) Emit(e Event) {
	switch e.Kind {
	case EventAccepted:
		m.accepted.WithLabelValues(e.Listener).Inc()
		for _, d := range e.SignedBy {
			m.signed.WithLabelValues(d).Inc()
		}
	case EventRefused:
		m.refused.WithLabelValues(e.Listener, strconv.Itoa(e.Reply.Code)).Inc()
	case EventUnaligned:
		m.unaligned.WithLabelValues(e.Listener).Inc()
	case EventAuthFailed:
		m.authFailed.WithLabelValues(e.Listener).Inc()
	case EventDelivered:
		m.age.WithLabelValues(e.Relay).Observe(e.Age.Seconds())
		fallthrough
	case EventDeferred, EventBounced, EventDropped:
		m.outcomes.WithLabelValues(e.Relay, string(e.Kind)).Inc()
		if e.Class != "" {
			m.failures.WithLabelValues(e.Relay, string(e.Class)).Inc()
		}
	}
}

// MetricsHandler serves the metrics of the core and of every instance that
// runs, in the Prometheus text format.
func (a *Appliance) MetricsHandler() http.Handler {
	gather := prometheus.GathererFunc(func() (all []*dto.MetricFamily, err error) {
		gatherers := prometheus.Gatherers{a.core}
		for _, n := range a.Graph().Nodes {
			if n.metrics != nil {
				gatherers = append(gatherers, n.metrics.registry)
			}
		}
		return gatherers.Gather()
	})
	return promhttp.HandlerFor(gather, promhttp.HandlerOpts{})
}
