package appliance

import "net/netip"

// An Outbound says how the mail of a relay reaches the world: what the SPF
// records of its senders have to allow (RFC 7208, section 4.6).
type Outbound struct {
	Addresses []netip.Addr // that it sends from; none: those of the machine
	Includes  []string     // the SPF records of the provider that takes the mail: "amazonses.com"
	Via       string       // the smarthost that takes the mail; "" if it goes to the recipients' servers
}

// An OutboundRelay is a Relay whose mail leaves this machine. Outbound is
// pure; it may be asked after Provision.
type OutboundRelay interface{ Outbound() Outbound }
