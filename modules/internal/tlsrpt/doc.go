// Package tlsrpt tells domains how TLS with their mail servers went (SMTP TLS
// Reporting, RFC 8460): who publishes
//
//	_smtp._tls.DOMAIN TXT "v=TLSRPTv1; rua=mailto:reports@example.org"
//
// gets a report for each UTC day on which mail went there. A [Reporter] is one
// sender of reports:
//
//	Record     counts a session, in memory, under the domain of the recipient
//	           and the policy that was applied
//	save       writes what was counted to the store, every ten minutes and at
//	           the end: what a crash costs is less than that
//	send       half an hour to four hours after midnight UTC, and every hour
//	           until it is done, for 24 hours: looks for the record of each
//	           domain, and posts or mails the report
//	Collected  says what was counted and is not sent yet, and where it would go
//
// # What survives
//
// The store has, below the place of the instance:
//
//	tlsrpt/2026-11-23/ID       what one process counted on a day, one value for each process
//	tlsrpt-state/2026-11-23    which domains of the day are done with, or that all are
//
// Every process writes a value of its own, so that nothing has to be merged
// before it is sent. The state is written after each batch of domains, under a
// lock: of several nodes on one store, each domain is reported to by one. A
// crash between the sending of a report and the writing of the state sends the
// report again, with the same report-id.
//
// A session is a connection: messages on one that was open already are not
// counted again, whoever's they are. Everything has a limit: the domains of a
// day, the policies of a domain, the failures told in detail; what is over the
// last is still counted.
package tlsrpt
