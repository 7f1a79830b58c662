package selftest

import (
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// serverItems are about the servers that the mail leaves from.
func (j *judge) serverItems() (items []Item) {
	if j.Captured {
		items = append(items, unknown("mode", `mode = "capture": no mail leaves; this one is looked at as if it did`))
	}
	if j.Held != "" {
		items = append(items, poor("held", 5, "the message would wait in the queue for a person: "+j.Held, "look at what the check says; waxwing queue release lets such mail go"))
	}
	switch {
	case j.Via != "":
		items = append(items, unknown("address", "%s takes the mail: what receivers see are the addresses of that provider", j.Via))
		j.ptr = NotKnown
	case len(j.Sources) == 0:
		items = append(items, unknown("address", `the public addresses of this server are not known: write them as deliverability { addresses = ["203.0.113.5"] }`))
	default:
		var all []string
		for _, s := range j.Sources {
			all = append(all, s.Addr.String()+" as "+s.Name)
		}
		items = append(items, good("address", "mail leaves from %s", join(all)))
	}
	items = append(items, j.findings()...)
	return append(items, j.tls())
}

// findings gives points to what a check-up has found.
func (j *judge) findings() (items []Item) {
	byRecord := make(map[string][]Item)
	var order []string
	for i := range j.Server {
		f := j.Server[i]
		if cost[f.Record] == 0 {
			continue // not what a receiver goes by, or looked at here
		}
		if _, seen := byRecord[f.Record]; !seen {
			order = append(order, f.Record)
		}
		byRecord[f.Record] = append(byRecord[f.Record], Item{f, points(&f)})
		if f.Record == "ptr" && j.Via == "" {
			j.ptr = worst(j.ptr, met(&f))
		}
	}
	for _, record := range order {
		items = append(items, once(byRecord[record])...)
	}
	return items
}

// cost is what a finding about a server costs that fails, by what it is about.
// The SPF record of its name is looked at with the others.
var cost = map[string]int{"ptr": 25, "blocklist": 20, "a": 10}

// points are what a finding about a server costs.
func points(f *appliance.Finding) int {
	switch f.Status {
	case appliance.FoundFail:
		return cost[f.Record]
	case appliance.FoundWarn:
		return 3
	}
	return 0
}

// tls is about the way to the next hop.
func (j *judge) tls() Item {
	const name = "TLS"
	if j.TLS == "" {
		return unknown(name, "how the mail is encrypted on its way is not known")
	}
	if strings.HasPrefix(j.TLS, "none") {
		j.encrypted = NotMet
		return bad(name, 15, "the relay never uses TLS: Gmail wants it of everybody, and marks mail that came without", `write tls = "opportunistic" into the relay`)
	}
	j.encrypted = Met
	return good(name, "%s", fmt.Sprintf("the relay encrypts: %s", j.TLS))
}
