package smarthost

import (
	"path"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.OutboundRelay = (*Smarthost)(nil)

// A rented smarthost is that of a provider, and the SPF record that
// lists the addresses it sends from.
type rented struct {
	host    string // a pattern of path.Match
	include string
}

// providers are those whose record is documented, and the same for all their
// customers. Of any other the administrator has to ask: an include that is
// wrong allows strangers to send.
var providers = []rented{
	{"email-smtp*.amazonaws.com", "amazonses.com"},
	{"smtp.sendgrid.net", "sendgrid.net"},
	{"smtp.mailgun.org", "mailgun.org"},
	{"smtp.eu.mailgun.org", "mailgun.org"},
	{"smtp.mandrillapp.com", "spf.mandrillapp.com"},
	{"in-v3.mailjet.com", "spf.mailjet.com"},
	{"smtp.postmarkapp.com", "spf.mtasv.net"},
	{"smtp-broadcasts.postmarkapp.com", "spf.mtasv.net"},
	{"smtp.gmail.com", "_spf.google.com"},
	{"smtp-relay.gmail.com", "_spf.google.com"},
	{"smtp.office365.com", "spf.protection.outlook.com"},
	{"*.mail.protection.outlook.com", "spf.protection.outlook.com"},
	{"smtp.fastmail.com", "spf.messagingengine.com"},
	{"smtp.migadu.com", "spf.migadu.com"},
	{"mail.gandi.net", "_mailcust.gandi.net"},
}

// includeOf is the SPF record of the provider of a host, or "".
func includeOf(host string) string {
	for _, p := range providers {
		if ok, err := path.Match(p.host, host); ok && err == nil {
			return p.include
		}
	}
	return ""
}

// Outbound implements [appliance.OutboundRelay]. Of several servers that are
// known, all are included.
func (s *Smarthost) Outbound() appliance.Outbound {
	o := appliance.Outbound{}
	for _, h := range s.hosts {
		o.Servers = append(o.Servers, h.String())
		include := includeOf(h.host)
		if o.Via == "" || include == "" {
			o.Via = h.host
		}
		if include != "" && !slices.Contains(o.Includes, include) {
			o.Includes = append(o.Includes, include)
		}
	}
	return o
}
