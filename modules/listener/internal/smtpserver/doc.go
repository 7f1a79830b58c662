// Package smtpserver is the SMTP server behind every listener of Waxwing that
// speaks SMTP: smtp, submission and submissions differ in a [Role].
//
// It implements RFC 5321 with PIPELINING (RFC 2920), SIZE (RFC 1870),
// 8BITMIME (RFC 6152), ENHANCEDSTATUSCODES (RFC 2034), SMTPUTF8 (RFC 6531),
// DSN (RFC 3461), CHUNKING (RFC 3030, without BINARYMIME), LIMITS (RFC 9422),
// STARTTLS (RFC 3207) or implicit TLS (RFC 8314), REQUIRETLS (RFC 8689) under
// TLS if the relays of the pipeline honour it, and AUTH (RFC 4954) with PLAIN
// and LOGIN, and EXTERNAL (RFC 4422, appendix A) for clients that have shown a
// certificate if the pipeline knows clients by theirs. It is our own engine;
// docs/go-smtp.md says why.
//
// # States of a session
//
//	          EHLO/HELO       MAIL          RCPT 250       DATA, BDAT
//	connected ─────────▶ ready ────▶ mail ─────────▶ rcpt ──────────▶ content
//	                       ▲                                             │
//	                       └── reply to the content, RSET, EHLO ◀────────┘
//
// A command in a state that it does not belong to is answered 503 and changes
// nothing. STARTTLS leads back to connected: nothing that was said before
// counts afterwards. One goroutine serves one session; a chunked message is
// read by it too, inside the reader that the pipeline holds, so that there is
// never a second one to wait for.
//
// # Promises
//
//   - A line ends with CRLF. A message ends with CRLF.CRLF, and with nothing
//     else. A message with a bare CR, a bare LF or a NUL is read to its true end
//     and refused (550 5.6.0), so that no server behind this one can see a second
//     message in it. One with lines of more than 998 octets is mended by package
//     recode, before it is signed, or refused likewise.
//   - What follows a rejected BDAT is either consumed or the connection is
//     closed: a chunk is never taken for a command.
//   - A client that talks when it must listen (before the greeting, after
//     EHLO, DATA, AUTH or STARTTLS) gets 554 5.5.0 and is disconnected.
//   - A message that breaks off is never handed on as a whole one.
//   - Credentials are taken under TLS only, without exception, and not before
//     the certificate is one that clients can verify: until then AUTH is
//     announced and answered 454 4.7.0.
//   - A client is known by a certificate only if this very handshake proved
//     that it holds the key: where certificates count there are no session
//     tickets.
//   - Replies never repeat what the client sent and never tell what broke.
//
// # Limits
//
// Connections (421; also those that would take the last file descriptors of
// the process, which the queue and deliveries need, or for which there is no
// memory in the budget of [appliance.Memory]), connections of one address
// (421; an IPv6 /64 is one address), how often it connects (421) and begins
// messages without logging in (450), connections of one user (421), recipients (452), octets of a command line (500), of a message
// (552), errors and idle commands on one connection (421 4.7.0, after a delay
// that grows), the time to send one command line, the time between two octets
// of a message, its average rate, and its total time (421 4.4.2). A session
// costs one goroutine and about 24 KiB, more under TLS; it is charged for 64.
//
// # Failure
//
// An error that carries no [appliance.Reply] is our own fault: 451, and the
// client keeps the message. A panic ends one session with 421. Stop sends 421
// to whoever is not sending a message, lets messages under way finish, and cuts
// everything when its context ends.
package smtpserver
