// Package selftest looks at a message that is about to leave as a large
// receiver would, and says in points what is wrong with it.
//
// # The receiver
//
// [Judge] is given a [Letter]: a message as it would go over the wire, signed
// and complete, with what is known of the servers that it would leave from. It
// does what receivers do with mail of strangers, in their order:
//
//	the server     has its address a name, is it on a blocklist, does it use TLS
//	SPF            may the address send for the envelope sender (RFC 7208)
//	DKIM           do the signatures verify, with the keys that the DNS has now (RFC 6376)
//	DMARC          does one of both vouch for the domain that the reader sees (RFC 9989)
//	the message    header fields (RFC 5322), lines, MIME, size
//	bulk mail      can the reader leave with one click (RFC 8058)
//
// It sends nothing, keeps nothing, and asks nobody but the resolver it is given.
// What a receiver knows beyond that, the reputation of a domain and what its
// users do with the mail, nobody outside can know.
//
// # The points
//
// A message begins with 100 points. Each [Item] says what was found, and, if it
// is not right, how many points that costs, why, and what to do: the record,
// the value, the place. An item that could not be looked at costs nothing and
// is listed as not known: a DNS server that does not answer, or an address that
// nobody has told, is no fault of the message.
//
//	ok       as it should be
//	warn     counts against the message
//	fail     large receivers refuse the message for it, or put it where nobody looks
//	skipped  not known, or no question for this message
//
// # The verdict
//
// Gmail and Yahoo publish what they want of everybody, and of those who send
// them 5,000 messages a day (since February 2024; Outlook.com has nearly the same since
// May 2025): SPF and DKIM, DMARC that passes, a PTR record, TLS, a correct
// header, and a one-click unsubscribe in bulk mail. The verdict goes by this
// list and by nothing else, and says what of it is not known.
package selftest
