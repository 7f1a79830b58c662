package queue

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// metrics are what the queue counts. What becomes of recipients is counted by
// the readers of its events, and numbers of messages are the store's business.
type metrics struct {
	reports     prometheus.Counter
	storeErrors prometheus.Counter
	panics      prometheus.Counter
	handedOn    prometheus.Counter
}

func newMetrics(e *engine) *metrics {
	m := &metrics{
		reports: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waxwing_queue_reports_total",
			Help: "Delivery status notifications that were queued.",
		}),
		storeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waxwing_queue_store_errors_total",
			Help: "Calls of the store that failed.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waxwing_queue_panics_total",
			Help: "Panics of modules during delivery. Each deferred one message.",
		}),
	}
	m.handedOn = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_queue_fallbacks_total",
		Help: "Recipients that were handed to the fallback of their relay.",
	})
	all := []prometheus.Collector{
		m.reports, m.storeErrors, m.panics, m.handedOn,
		e.gauge("waxwing_queue_destinations", "Destinations that have mail waiting or in flight.",
			func() int { return len(e.dests) }),
		e.gauge("waxwing_queue_in_flight", "Deliveries that are being attempted or settled.",
			func() int { return e.running }),
		e.gauge("waxwing_queue_destinations_down", "Destinations that are left alone because they could not be reached.",
			e.down),
		e.gauge("waxwing_queue_sites", "Sites, which are the servers behind destinations, that are remembered.",
			func() int { return len(e.sites) }),
		e.gauge("waxwing_queue_sites_limited", "Sites whose due mail waits for a limit of theirs.",
			e.limited),
		e.gauge("waxwing_queue_suspensions", "Suspensions that a person has made.",
			func() int { return len(e.suspended.byName) }),
	}
	if e.house.Metrics == nil {
		return m
	}
	for _, c := range all {
		if err := e.house.Metrics.Register(c); err != nil {
			e.house.Log.Error("a metric of the queue is not registered", zap.Error(err))
		}
	}
	return m
}

// gauge is a gauge of the engine's state; value is called with mu held.
func (e *engine) gauge(name, help string, value func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return float64(value())
	})
}

func (e *engine) down() (n int) {
	now := e.now()
	for _, d := range e.dests {
		if d.outage.down(now) || d.site != nil && d.site.outage.down(now) {
			n++
		}
	}
	return n
}

func (e *engine) limited() (n int) {
	for _, s := range e.sites {
		if s.waits() {
			n++
		}
	}
	return n
}
