package logins

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

type metrics struct {
	bans    prometheus.Counter
	refused *prometheus.CounterVec
}

// newMetrics registers what is counted. figures is asked for how many networks
// are banned and how many accounts are under attack.
func newMetrics(r prometheus.Registerer, figures func() (networks, accounts int)) *metrics {
	m := &metrics{
		bans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waxwing_bans_total", Help: "Networks banned for failed log-ins and errors.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waxwing_logins_refused_total",
			Help: "Connections and log-ins refused before a password was looked at, because of the network or the account.",
		}, []string{"because"}),
	}
	if r == nil {
		return m
	}
	gauge := func(name, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f()) })
	}
	r.MustRegister(m.bans, m.refused,
		gauge("waxwing_banned_networks", "Networks that are banned now.", func() int { n, _ := figures(); return n }),
		gauge("waxwing_attacked_accounts", "Accounts under attack now.", func() int { _, n := figures(); return n }))
	return m
}

// figures counts what Bans lists.
func (g *Guard) figures() (networks, accounts int) {
	for _, b := range g.Bans() {
		if b.Kind == appliance.BanNetwork {
			networks++
		} else {
			accounts++
		}
	}
	return networks, accounts
}
