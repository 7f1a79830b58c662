package dkim

import (
	"cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// KeyInfo describes a key for people. It holds no secret.
type KeyInfo struct {
	Domain    string              `json:"domain"`
	Selector  string              `json:"selector"`
	Algorithm string              `json:"algorithm"` // "rsa2048"
	Source    string              `json:"source"`    // "store", or the path of a file
	Record    appliance.DNSRecord `json:"record"`    // to publish
}

// Keys lists the keys, by domain in the order of the configuration. It is for
// after Start, or Load.
func (d *DKIM) Keys() []KeyInfo {
	var all []KeyInfo
	for _, domain := range d.plan.domains {
		for _, k := range d.ring.keys[domain] {
			all = append(all, KeyInfo{
				Domain: k.domain, Selector: k.selector, Algorithm: k.key.Algorithm(), Source: cmp.Or(k.path, "store"),
				Record: k.key.Record(k.domain, k.selector),
			})
		}
	}
	return all
}

// DNSRecords implements appliance.DNSPublisher.
func (d *DKIM) DNSRecords() []appliance.DNSRecord {
	var all []appliance.DNSRecord
	for _, k := range d.Keys() {
		all = append(all, k.Record)
	}
	return all
}
