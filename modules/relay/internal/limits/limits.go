// Package limits is the attributes connections and rate of a relay: what the
// addresses that it sends from may do, over all of its sites. The queue keeps
// them; what exceeds them waits, which is no attempt.
package limits

import (
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxConnections bounds what makes sense.
const maxConnections = 10_000

// RelayLimits are the attributes. A module embeds them and tells them to the
// queue in [appliance.Site.Relay].
type RelayLimits struct {
	// Deliveries at a time through this relay, to all servers together.
	// Default 0: no limit but those of the queue and of each server.
	Connections int `hcl:"connections,optional"`
	// Messages in a time through this relay, as "14/s" or "50000/day". What is
	// more waits, without an attempt. Default: no limit.
	Rate appliance.Rate `hcl:"rate,optional"`
}

// Check says which attribute cannot be.
func (l RelayLimits) Check() error {
	if l.Connections < 0 || l.Connections > maxConnections {
		return &appliance.AttrError{
			Attr: "connections",
			Msg:  fmt.Sprintf("%d: must be between 1 and %d, or 0 for no limit", l.Connections, maxConnections),
		}
	}
	return nil
}

// Limits are for the queue.
func (l RelayLimits) Limits() appliance.SiteLimits {
	return appliance.SiteLimits{Connections: l.Connections, Rate: l.Rate}
}

// Explain is a line for each limit there is.
func (l RelayLimits) Explain() (all []appliance.Answer) {
	var parts []string
	attr := "connections"
	if l.Connections > 0 {
		parts = append(parts, fmt.Sprintf("at most %d deliveries at a time", l.Connections))
	} else {
		attr = "rate"
	}
	if !l.Rate.IsZero() {
		parts = append(parts, l.Rate.String()+" messages")
	}
	if len(parts) == 0 {
		return nil
	}
	return []appliance.Answer{{Topic: "relay limits", Text: strings.Join(parts, ", ") + ", over all servers", Attr: attr}}
}
