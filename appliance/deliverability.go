package appliance

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DeliverabilitySettings is the deliverability block: what the DNS has to say
// of this server, and how often that is looked at.
type DeliverabilitySettings struct {
	// The addresses from which mail leaves, as the world sees them. Default:
	// the source addresses of the relays, the public addresses of this machine,
	// and what the servers of echo say. Write them behind NAT.
	Addresses []netip.Addr `hcl:"addresses,optional"`
	// Servers that answer an HTTPS request with the address it came from, and
	// nothing else, as "https://api.ipify.org". Only "waxwing doctor" and the
	// watch ask them. Default: none is asked.
	Echo []string `hcl:"echo,optional"`
	// The lists of bad senders that the addresses are looked up in, as
	// "zen.spamhaus.org", or with the key of an account as its operator writes
	// it: "KEY.zen.dq.spamhaus.net". Default: the common ones that answer without
	// an account; [] is none.
	Blocklists []Secret `hcl:"blocklists,optional"`
	// What the SPF records of the domains include besides the addresses, as
	// "_spf.example.net": others that send mail from these domains.
	SPFInclude []string `hcl:"spf_include,optional"`
	// Where other servers send their reports about mail from these domains
	// (DMARC and TLS), as "postmaster@example.com". Default: nowhere.
	Reports Mailbox `hcl:"reports,optional"`
	// The dns block that "waxwing dns publish" writes the records with. Default:
	// the only one there is.
	Publish string `hcl:"publish,optional"`
	// How often the records are looked at while the server runs; "0s" is never.
	// Default 1h, at least 5m.
	Watch time.Duration `hcl:"watch,optional"`
	// Where to say by HTTP that something has changed, as
	// "https://hooks.example.com/waxwing". The request is a POST of JSON.
	// Default: nowhere.
	Webhook Secret `hcl:"webhook,optional"`
}

// The most that the deliverability block takes, so that a check-up ends.
const (
	maxOutwardAddresses = 32
	maxEchoServers      = 4
	maxBlocklists       = 32
	maxSPFIncludes      = 10 // RFC 7208, section 4.6.4: look-ups
	leastWatch          = 5 * time.Minute
)

// Check finds what makes no sense. The error is an [AttrError], with the name
// of the attribute in the block.
func (d *DeliverabilitySettings) Check() error {
	for _, l := range []struct {
		attr    string
		n, most int
	}{
		{"addresses", len(d.Addresses), maxOutwardAddresses}, {"echo", len(d.Echo), maxEchoServers},
		{"blocklists", len(d.Blocklists), maxBlocklists}, {"spf_include", len(d.SPFInclude), maxSPFIncludes},
	} {
		if l.n > l.most {
			return &AttrError{Attr: l.attr, Msg: fmt.Sprintf("has %d entries; at most %d are allowed", l.n, l.most)}
		}
	}
	for _, ip := range d.Addresses {
		if !ip.IsGlobalUnicast() || ip.Zone() != "" {
			return &AttrError{Attr: "addresses", Msg: ip.String() + " is no address that the world can see"}
		}
	}
	for _, u := range d.Echo {
		if err := checkWebAddress(u, "https"); err != nil {
			return &AttrError{Attr: "echo", Msg: err.Error()}
		}
	}
	if u := d.Webhook.Reveal(); u != "" && checkWebAddress(u, "https", "http") != nil {
		return &AttrError{Attr: "webhook", Msg: `is no web address; write "https://hooks.example.com/waxwing"`} // it may hold a token: it is not shown
	}
	for i, zone := range d.Blocklists { // it may hold a key: it is not shown
		if checkRecordName(zone.Reveal()) != nil {
			return &AttrError{Attr: "blocklists", Msg: fmt.Sprintf(`number %d is no name in the DNS; write one such as "zen.example.org"`, i+1)}
		}
	}
	for _, name := range d.SPFInclude {
		if err := checkRecordName(name); err != nil {
			return &AttrError{Attr: "spf_include", Msg: err.Error()}
		}
	}
	if d.Watch != 0 && d.Watch < leastWatch {
		return &AttrError{Attr: "watch", Msg: `must be at least "5m", or "0s" for never: the servers of others are asked`}
	}
	return nil
}

func checkWebAddress(text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("%q is no web address; write %q", text, schemes[0]+"://name.example.com/")
	}
	return nil
}

// checkRecordName takes the name of a record, which may begin with an
// underscore where that of a host must not.
func checkRecordName(name string) error {
	if _, err := ParseDomain(strings.ReplaceAll(name, "_", "x")); err != nil || strings.HasPrefix(name, "[") {
		return fmt.Errorf(`%q is no name in the DNS; write one such as "zen.example.org"`, name)
	}
	return nil
}

// BlocklistZones are the names of the lists to ask, with their keys; nil stands
// for the common ones.
func (d *DeliverabilitySettings) BlocklistZones() []string {
	if d.Blocklists == nil {
		return nil
	}
	all := make([]string, 0, len(d.Blocklists))
	for _, zone := range d.Blocklists {
		all = append(all, zone.Reveal())
	}
	return all
}
