// Package smtpconn is the SMTP client of Waxwing (RFC 5321): it hands one
// message to one next hop over a connection that it opens, secures, reuses
// and, above all, distrusts.
//
// A relay makes a [Pool] and calls [Pool.Deliver] with the servers to try, as
// a lazy sequence of [Target] values; everything else happens here.
//
//	connect → greeting → EHLO → STARTTLS → EHLO → AUTH      once per connection
//	MAIL RCPT… DATA (one round trip with PIPELINING)        once per transaction
//	content → "." → reply                                   or BDAT, content → reply
//	idle in the pool, or QUIT
//
// It speaks PIPELINING (RFC 2920), CHUNKING (RFC 3030), SIZE (RFC 1870), 8BITMIME (RFC 6152),
// SMTPUTF8 (RFC 6531), DSN (RFC 3461), STARTTLS (RFC 3207), AUTH PLAIN, LOGIN
// and EXTERNAL (RFC 4954), REQUIRETLS (RFC 8689) and enhanced status codes (RFC
// 2034). A server that asks for a certificate is shown that of [Config]. With
// Config.LMTP it speaks LMTP (RFC 2033) instead.
//
// # CHUNKING
//
// Where CHUNKING is offered the content goes as one chunk, BDAT LAST: nothing
// in it is doubled or searched for, and to a server that has taken a message
// over the same connection envelope and content go in one flight. A connection
// that is lost in BDAT, and a server that refuses to know the command, are
// answered with DATA in the next attempts, never within a transaction.
// BINARYMIME is not spoken: content is lines, by BDAT as by DATA.
//
// # What it promises
//
// Each recipient gets the reply that concerns it, and no other. A reply that
// is missing, malformed, endless or out of turn is a temporary failure and the
// end of the connection; it never counts as a delivery and never as a bounce.
//
// A connection that is lost after the final dot and before its reply leaves
// everybody in doubt (RFC 1047). The message is kept and sent again: it may
// arrive twice, but it is not lost. The result says "ambiguous", and no other
// server is tried in the same attempt.
//
// Only CRLF ends a line and only CRLF.CRLF ends a message: content with a bare
// CR, a bare LF, a NUL or a line of more than 998 octets does not leave. Text
// of the next hop is bounded and made printable ASCII before anybody sees it.
//
// # How servers are tried
//
// In the order of the sequence, except that an address which was of no use when
// it was last tried comes after the others. A server that cannot be reached, or that sends
// us away before MAIL, is passed over. One that answers MAIL is a session; the
// recipients it defers are offered to the next server too, in at most two
// sessions for each attempt, but not to itself again from another address of
// ours. If no server answered MAIL, the outcome is permanent only if every one
// of them failed permanently.
//
// A server that refuses the address of ours that it is asked from, and not the
// message ([Config.Blames]), is no session either, as long as nobody got the
// message from it: the recipients are offered from other addresses of ours, four
// at most, and from the refused one not again.
package smtpconn
