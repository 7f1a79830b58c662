package appliance

import "net/netip"

// An Outbound says how the mail of a relay reaches the world: what the SPF
// records of its senders have to allow (RFC 7208, section 4.6).
type Outbound struct {
	Addresses []netip.Addr // that it sends from; none: those of the machine
	Names     []string     // what receivers are told with each of Addresses (EHLO); "", or none: the host name of the server
	Families  []string     // "ip4", "ip6": which of the machine's addresses it uses; none: both
	Includes  []string     // the SPF records of the provider that takes the mail: "amazonses.com"
	Via       string       // the smarthost that takes the mail; "" if it goes to the recipients' servers
	Servers   []string     // all smarthosts, with their ports: "smtp.example.net:587"
}

// An OutboundRelay is a Relay whose mail leaves this machine. Outbound is
// pure; it may be asked after Provision.
type OutboundRelay interface{ Outbound() Outbound }

// A SenderLister is a module that names domains that mail is sent from, such
// as a signer those that it signs for. SenderDomains is pure and its order is
// that of the file; it may be asked after Provision.
type SenderLister interface{ SenderDomains() []string }
