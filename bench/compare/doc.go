// Package compare measures mail servers side by side: the same work for each,
// in turn (A B C, A B C, …), on one machine and in one run.
//
// Everything is on loopback. Clients and next hop, the sink, are in this
// process; the server that is measured is between them, in a box that accounts
// for its processes. A work is done only if what it claims is verified: each
// message that was answered 250 has to arrive exactly once and with the body that
// was sent, and if it was to be signed, a sample has to verify against the key.
// A peer that fails is reported as failed, and fails the run.
//
//	stage   works that are done to one running server; the next peer follows
//	work    one thing that is done, with a table of its own in the report
//	site    a server that runs, between clients and sink
//	ledger  what is known of each message of one measurement
//
// # Figures
//
//	accepted/s   messages answered 250, from the first MAIL to the last 250
//	delivered/s  messages that have arrived at the sink, from the first MAIL to the last arrival
//	CPU ms       user and system time of all processes of the server, per message, until the last arrival
//	peak MiB     the largest resident set of a single process since its start; of several the largest sum
//	             of their proportional set sizes that was seen, up to ten times a second
//
// Slow peers get less to do, not more time: no message is begun after some
// seconds, and then all that were begun are waited for.
//
// # Ratios
//
// The speed of a shared machine changes by a quarter from one minute to the
// next, so that figures of different runs say little. A ratio is formed of two
// figures of the same round, and the median of the rounds is printed.
package compare
