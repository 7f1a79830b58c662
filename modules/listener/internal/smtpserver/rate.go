package smtpserver

import (
	"net/netip"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A rater bounds how often each client does something. It lets as many happen
// at once as the rate has, and goes on at the average. The zero value has no
// limit.
//
// For each client it keeps the moment at which what it did is paid for: one
// period divided by the count for each time. A client may be ahead of that by a
// whole period.
type rater struct {
	rate appliance.Rate

	mu   sync.Mutex
	paid map[netip.Prefix]time.Time
}

// maxRated is how many clients a rater remembers: some 10 MiB. There are as
// many only while one attack comes from as many addresses, against which a
// limit for each of them is no help; those beyond are not counted.
const maxRated = 100_000

// allow counts one more of the client and says whether it may be. What many
// clients can share is not counted.
func (r *rater) allow(client netip.Prefix, now time.Time) bool {
	if r.rate.IsZero() || appliance.SharedNetwork(client) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	paid, known := r.paid[client]
	if !known && !r.room(now) {
		return true
	}
	if paid.Before(now) {
		paid = now
	}
	paid = paid.Add(r.rate.Per / time.Duration(r.rate.Count))
	if paid.Sub(now) > r.rate.Per {
		return false
	}
	r.paid[client] = paid
	return true
}

// room makes room for one more client by forgetting those that have paid.
func (r *rater) room(now time.Time) bool {
	if r.paid == nil {
		r.paid = make(map[netip.Prefix]time.Time)
	}
	if len(r.paid) < maxRated {
		return true
	}
	for client, paid := range r.paid {
		if !paid.After(now) {
			delete(r.paid, client)
		}
	}
	return len(r.paid) < maxRated
}
