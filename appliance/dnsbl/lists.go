package dnsbl

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// A List is a zone that lists bad senders.
type List struct {
	Zone string // lower case, no final dot
	Name string // for people; "" is the zone

	// What it lists. A list that is asked about something else has no entry
	// for it, which means nothing.
	IPv4, IPv6, Domains bool

	Codes    map[string]Meaning // what its answers mean: "127.0.0.4"
	Bits     map[byte]string    // what the bits of the last octet mean, if it answers that way
	Refusals map[string]string  // answers of its own that are no listings, and why it gives them
	Page     string             // where to look up a subject and have it removed; {} stands for the subject
	Removal  string             // when it removes an entry by itself; "" if it wants to be asked
	Terms    string             // where it says whom it answers
	Test     string             // the domain that is always listed, if it is not "test"
	Keyed    bool               // Zone comes after the key of an account
}

// A Meaning is what a list means by one of its answers.
type Meaning struct {
	Text string
	Fix  string // what to do about it; "" is to end the spam and have the entry removed
}

// String is the name for people.
func (l *List) String() string { return cmp.Or(l.Name, l.Zone) }

// page is where a subject can be looked up.
func (l *List) page(subject string) string {
	return strings.ReplaceAll(l.Page, "{}", url.QueryEscape(subject))
}

// Default are the lists that many receivers ask and that answer without an
// account, at least to a DNS server that is not shared with strangers.
func Default() []List {
	return slices.DeleteFunc(known(), func(l List) bool { return l.Keyed })
}

// Named are the lists with these zones, as the configuration names them; nil is
// Default. What a list means by its answers is known of common ones only; of
// others it is taken that they list addresses.
func Named(zones []string) []List {
	if zones == nil {
		return Default()
	}
	all := make([]List, 0, len(zones))
	for _, zone := range zones {
		all = append(all, named(strings.ToLower(strings.TrimSuffix(zone, "."))))
	}
	return all
}

func named(zone string) List {
	for _, l := range known() {
		switch {
		case l.Zone == zone:
			return l
		case l.Keyed && strings.HasSuffix(zone, "."+l.Zone):
			l.Zone, l.Name = zone, l.Zone // the key is a secret
			return l
		}
	}
	return List{Zone: zone, Name: withoutKey(zone), IPv4: true, IPv6: true}
}

// leastKey is how long a label is that may be the key of an account: those of
// operators who give any have 26 characters and more, and names of lists less
// than half of that.
const leastKey = 16

// withoutKey is the name for people of a list that is not known, if its zone
// begins with what may be the key of an account: the rest of it.
func withoutKey(zone string) string {
	first, rest, _ := strings.Cut(zone, ".")
	if len(first) >= leastKey && strings.Contains(rest, ".") {
		return rest
	}
	return ""
}

const spamhausTerms = "https://www.spamhaus.org/faqs/dnsbl-usage/"

func known() []List {
	return []List{
		{Zone: "zen.spamhaus.org", IPv4: true, IPv6: true, Codes: zen(), Page: "https://check.spamhaus.org/results/?query={}", Terms: spamhausTerms},
		{Zone: "bl.spamcop.net", IPv4: true, IPv6: true, Codes: oneCode(), Page: "https://www.spamcop.net/w3m?action=checkblock&ip={}", Removal: "it removes the entry a day after the last report"},
		{Zone: "b.barracudacentral.org", IPv4: true, IPv6: true, Codes: oneCode(), Page: "https://www.barracudacentral.org/rbl/removal-request/{}", Terms: "https://www.barracudacentral.org/rbl"},
		{Zone: "psbl.surriel.com", IPv4: true, Codes: oneCode(), Page: "https://psbl.org/listing?ip={}"},
		{Zone: "dnsbl-1.uceprotect.net", IPv4: true, Codes: oneCode(), Page: "https://www.uceprotect.net/en/rblcheck.php?ipr={}", Removal: "it removes the entry a week after the last spam"},
		{Zone: "dbl.spamhaus.org", Domains: true, Codes: dbl(), Refusals: dblRefusals(), Page: "https://check.spamhaus.org/results/?query={}", Terms: spamhausTerms},
		{Zone: "multi.surbl.org", Domains: true, Bits: surbl(), Test: "test.surbl.org", Page: "https://www.surbl.org/surbl-analysis"},
		{Zone: "multi.uribl.com", Domains: true, Bits: uribl(), Test: "test.uribl.com", Terms: "http://uribl.com/about.shtml"},

		{Zone: "zen.dq.spamhaus.net", Keyed: true, IPv4: true, IPv6: true, Codes: zen(), Page: "https://check.spamhaus.org/results/?query={}"},
		{Zone: "dbl.dq.spamhaus.net", Keyed: true, Domains: true, Codes: dbl(), Refusals: dblRefusals(), Page: "https://check.spamhaus.org/results/?query={}"},
		{Zone: "combined.mail.abusix.zone", Keyed: true, IPv4: true, IPv6: true},
	}
}

// zen are the answers of Spamhaus' list of addresses.
func zen() map[string]Meaning {
	exploited := Meaning{Text: "XBL: a machine behind it is infected or its software abused"}
	const direct = "the PBL has addresses that no mail is expected from: if this one may send mail, have it removed there, or by its provider; otherwise send by way of a smarthost"
	return map[string]Meaning{
		"127.0.0.2":  {Text: "SBL: a source of spam"},
		"127.0.0.3":  {Text: "CSS: it sends in small amounts what looks like spam, or is set up badly"},
		"127.0.0.4":  exploited,
		"127.0.0.5":  exploited,
		"127.0.0.6":  exploited,
		"127.0.0.7":  exploited,
		"127.0.0.9":  {Text: "DROP: the whole network belongs to criminals", Fix: "ask the provider of the address what it does about that, or leave it"},
		"127.0.0.10": {Text: "PBL: its provider says that no mail comes from it directly", Fix: direct},
		"127.0.0.11": {Text: "PBL: it looks like one from which no mail comes directly", Fix: direct},
	}
}

// dbl are the answers of Spamhaus' list of domains.
func dbl() map[string]Meaning {
	return map[string]Meaning{
		"127.0.1.2":   {Text: "a domain of spammers"},
		"127.0.1.4":   {Text: "a domain of phishing"},
		"127.0.1.5":   {Text: "a domain of malware"},
		"127.0.1.6":   {Text: "a domain that controls a botnet"},
		"127.0.1.102": {Text: "a good domain that spammers abuse"},
		"127.0.1.103": {Text: "a redirector that spammers abuse"},
		"127.0.1.104": {Text: "a good domain abused for phishing"},
		"127.0.1.105": {Text: "a good domain abused for malware"},
		"127.0.1.106": {Text: "a good domain abused to control a botnet"},
	}
}

func dblRefusals() map[string]string {
	return map[string]string{"127.0.1.255": "it lists domains, and was asked about an address"}
}

// oneCode is the answer of lists that have one.
func oneCode() map[string]Meaning {
	return map[string]Meaning{"127.0.0.2": {Text: "spam has come from it recently"}}
}

// surbl are the bits of SURBL, a list of domains that are linked to.
func surbl() map[byte]string {
	return map[byte]string{8: "a domain of phishing", 16: "a domain of malware", 64: "a domain that spam links to", 128: "a web site that has been broken into"}
}

// uribl are the bits of URIBL, another one.
func uribl() map[byte]string {
	return map[byte]string{2: "black: a domain of spammers", 4: "grey: a domain of unwanted mail in bulk", 8: "red: a new domain that spam links to"}
}
