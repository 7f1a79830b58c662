package certs

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

// expiry is the time at which each certificate expires, for each of its names.
type expiry struct {
	list func() []appliance.CertificateInfo
}

var notAfter = prometheus.NewDesc("waxwing_tls_cert_not_after_seconds",
	"Unix time at which the certificate for a name expires; 0 while there is none.", []string{"name"}, nil)

// RegisterExpiry adds the time at which the certificates expire to the
// metrics, in seconds of Unix time, for each name. A nil registerer is none.
func RegisterExpiry(r prometheus.Registerer, list func() []appliance.CertificateInfo) error {
	if r == nil {
		return nil
	}
	return r.Register(&expiry{list})
}

// Describe implements prometheus.Collector.
func (*expiry) Describe(ch chan<- *prometheus.Desc) { ch <- notAfter }

// maxExpiryNames bounds the names that a module shows: each is a time series.
const maxExpiryNames = 1000

// Collect implements prometheus.Collector. Of several certificates for a name,
// such as RSA beside ECDSA, the one that expires first counts.
func (e *expiry) Collect(ch chan<- prometheus.Metric) {
	first := make(map[string]float64)
	var names []string
	for _, c := range e.list() {
		at := 0.0
		if !c.NotAfter.IsZero() {
			at = float64(c.NotAfter.Unix())
		}
		for _, n := range c.Names {
			n = strings.ToLower(n)
			old, seen := first[n]
			if !seen && len(names) == maxExpiryNames {
				continue
			}
			if !seen {
				names = append(names, n)
			}
			if !seen || at < old {
				first[n] = at
			}
		}
	}
	for _, n := range names {
		ch <- prometheus.MustNewConstMetric(notAfter, prometheus.GaugeValue, first[n], n)
	}
}
