package appliance

import "github.com/prometheus/client_golang/prometheus"

// Resolver is what instances ask the DNS with.
func (a *Appliance) Resolver() Resolver { return a.resolver }

// Metrics is where the program registers what it measures besides the
// appliance. What is registered there stays.
func (a *Appliance) Metrics() prometheus.Registerer { return a.core }
