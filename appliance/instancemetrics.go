package appliance

import "github.com/prometheus/client_golang/prometheus"

// instanceMetrics is where one instance registers its metrics. They are
// labelled with its address and vanish with it, so that on a reload the old
// and the new instance do not collide.
type instanceMetrics struct {
	registry *prometheus.Registry
	prometheus.Registerer
}

func newInstanceMetrics(a Addr) *instanceMetrics {
	r := prometheus.NewRegistry()
	return &instanceMetrics{r, prometheus.WrapRegistererWith(prometheus.Labels{"module": a.String()}, r)}
}
