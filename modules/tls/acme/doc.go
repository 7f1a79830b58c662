// Package acme is tls "acme": certificates that get and renew themselves, from
// Let's Encrypt or any other authority that speaks ACME (RFC 8555).
//
//	tls "acme" "letsencrypt" {
//	  email = "postmaster@example.com"
//	}
//
// Without names it keeps a certificate for the host name of the server and for
// every name that a listener with this block answers to, for as long as there
// is one; one certificate for each. Writing the block is agreeing to the terms
// of its authorities.
//
// # The start
//
// The server starts whether the authority can be reached or not. What the
// store holds is served at once, without a question to anybody. Where that is
// nothing, a self-signed certificate is made in memory and served until there
// is a real one, so that port 25 offers STARTTLS from the first moment on.
// Until then [ACME.Ready] says why not, and listeners ask nobody for a
// password; self_signed = true says that clients have been told to trust it.
//
// # How a certificate is renewed
//
// Each name has a keeper, a goroutine that looks after it: at the start, at
// least once an hour, and when the renewal is due. The authority says when
// that is (RFC 9773), as long as a twentieth of the lifetime is left; where it
// does not, it is when a third is. A machine that was suspended looks within a
// minute of its waking up. A look takes a fresh OCSP response where the
// certificate names a responder, asks the authority for a new time of renewal
// when the old answer has run out, replaces a certificate that has been revoked,
// and takes over what another instance on the same store has renewed in the
// meantime.
//
// If it fails, the old certificate stays, expired or not, and the keeper tries
// again after 1, 2, 5, 10, 20, 30 minutes, 1, 2, 4 hours and then every 6
// hours, give or take a tenth; after "too many requests", from all of its
// authorities, when the first of them says, or an hour later at least. The first attempt goes to the real
// authority; with Let's Encrypt, later ones ask its staging environment first,
// which allows many more failures, and go on only when that has worked.
// Several issuer blocks are asked in their order, at every attempt.
//
// A certificate that is of no use, because it is for other names or another key,
// has expired already, or has a chain that clients do not take, replaces none:
// that is a failure too.
//
// Sessions keep the certificate that they have begun with: nothing is dropped.
//
// # Challenges
//
// http-01 (RFC 8555, section 8.3) needs TCP port 80 of the name, tls-alpn-01
// (RFC 8737) port 443, dns-01 (RFC 8555, section 8.4) a dns block, and nothing
// else. The ports are ours only while an order is being made: not before, and
// not a second longer. On port 80 there is nothing but the answer to the one
// challenge, whatever Host a proxy has written; everything else is 404. If one
// of the two ports cannot be had, the other is used alone; if none can, the
// authority is not bothered. dns-01 stands alone, since a server that can use it
// needs no other.
//
// Several servers on one store take turns, so that they get one certificate
// between them; the challenge is answered by the one whose turn it is. Behind
// one name with several addresses that is a matter for dns-01.
//
// # What is kept
//
// All is in the instance's own place of the store: accounts and their keys
// under acme/, certificates under certificates/AUTHORITY/NAME/NAME.pem. Such a
// file has the chain, the private key and what the authority said of it, in
// PEM, and is written in one step: no crash and no full disk can leave a
// certificate beside a key that does not fit it. One that is damaged
// nevertheless counts as not there; a new one is obtained.
//
// Renewals keep the private key (reuse_key), so that a DANE TLSA record 3 1 1
// stays right (RFC 7671, sections 5.1 and 8.1).
//
// # Why so much of certmagic is not used
//
// The protocol, the accounts and the decisions are certmagic's. Its goroutines
// are not: they belong to the process and cannot be joined, its retries hold a
// lock for days, and its listeners have no limits. So each attempt is one
// synchronous call, with a configuration and a cache that live as long as the
// attempt, under a time-out, in a goroutine of ours. Handshakes never meet it:
// they are served from a list of our own, so that unknown names cost nothing.
//
// Its HTTP client is its own and can be neither replaced nor wrapped, and it
// reads an answer as a whole. So what an authority sends is bounded by the half
// minute that a request may take, and not by its size; only who has a
// certificate for the name of the directory can make use of that. What is kept
// of it is bounded: see the chain of a certificate and the words of a problem.
package acme
