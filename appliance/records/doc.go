// Package records knows which DNS records a configuration needs, and whether
// they are there.
//
//	facts := records.Survey(graph, options)        what the file says, and the keys
//	wanted := records.Wanted(facts)                the records that follow from it
//	found := records.Compare(ctx, dns, wanted)     what the name servers say of each
//	plan := records.Plan(found)                    what to write, and what to leave
//
// Survey collects; nothing else looks at the configuration. Wanted is pure: the
// same facts give the same records, in the same order. Compare asks the name
// servers of each zone themselves, all of them, past every cache, since a
// record is published when all of them show it.
//
// # Which records
//
//	host     of each name that receivers are told (EHLO): its address records, and
//	         SPF for the name (RFC 7208, section 2.3)
//	address  of each that mail leaves from: the PTR record, which only the
//	         provider of the address can write
//	domain   of each that mail is sent from: an MX record, so that bounces come
//	         back; SPF (RFC 7208), the keys of DKIM (RFC 6376), DMARC (RFC 9989)
//	inbound  of each domain whose mail this server takes: MX to it, TLSRPT
//	         (RFC 8460), MTA-STS (RFC 8461), and TLSA for its host (RFC 7672)
//
// The SPF record of a domain follows from the relays that the pipelines use:
// the addresses of those that deliver themselves, the records of the providers
// whose smarthosts take the mail.
//
// # What is there already
//
// A record is compared by what it means: SPF by evaluating it for our
// addresses, DKIM by the key, DMARC by the policy, which may be stricter. Of
// SPF, DMARC, TLSRPT and MTA-STS there can be only one record at a name, so
// that what is missing is merged into the one that is there. All other TXT
// records at the name are nobody's business here.
//
// # What is written
//
// A plan adds what is missing. It replaces a record only where there can be
// just one of its kind, and shows the one that it replaces. A DKIM key that is
// not ours, the address of a host, the PTR record and everything that somebody
// has to think about stay as they are, and the plan says who has to do what.
package records
