package dkim

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

// keyMetrics collects the states of the stored keys, as they are.
type keyMetrics DKIM

var (
	sinceDesc = prometheus.NewDesc("waxwing_dkim_key_since_seconds",
		"When a DKIM key of the store came into its state (next, current, old, retired), in seconds since 1970.",
		[]string{"domain", "selector", "state"}, nil)
	publishedDesc = prometheus.NewDesc("waxwing_dkim_key_published",
		"Whether all name servers showed the record of a next or current DKIM key when they were last asked: 1 or 0.",
		[]string{"domain", "selector", "state"}, nil)
)

// Describe implements prometheus.Collector.
func (*keyMetrics) Describe(out chan<- *prometheus.Desc) { out <- sinceDesc; out <- publishedDesc }

// Collect implements prometheus.Collector.
func (m *keyMetrics) Collect(out chan<- prometheus.Metric) {
	d := (*DKIM)(m)
	if d.plan == nil {
		return // not provisioned
	}
	lives := d.ring.Load().lives
	for _, domain := range d.plan.domains {
		if lives[domain] == nil {
			continue
		}
		for _, k := range lives[domain].life.Keys {
			if !k.alive() {
				continue
			}
			labels := []string{domain, k.Selector, string(k.State)}
			out <- prometheus.MustNewConstMetric(sinceDesc, prometheus.GaugeValue, float64(k.Since.Unix()), labels...)
			if (k.State == appliance.KeyNext || k.State == appliance.KeyCurrent) && !k.Checked.IsZero() {
				out <- prometheus.MustNewConstMetric(publishedDesc, prometheus.GaugeValue, k.published(), labels...)
			}
		}
	}
}

func (k *lifeKey) published() float64 {
	if k.Shown.IsZero() || !k.Missing.IsZero() {
		return 0
	}
	return 1
}
