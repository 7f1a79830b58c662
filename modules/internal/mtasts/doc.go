// Package mtasts knows which mail exchangers of a domain mail may go to, and
// that it must go there by verified TLS, if the domain has published a policy
// (SMTP MTA Strict Transport Security, RFC 8461).
//
//	_mta-sts.DOMAIN TXT                              there is a policy, and its id
//	https://mta-sts.DOMAIN/.well-known/mta-sts.txt   the policy
//
// [Cache.Policy] answers for a domain. What it learns it remembers in memory
// and, what is worth more than the moment, in the store:
//
//	no policy            for 10 minutes
//	a policy             for its max_age. The record is looked up again after
//	                     10 minutes; if it has another id, and once a day in
//	                     any case, the policy is fetched again beside the
//	                     delivery, which does not wait
//	a policy that cannot be fetched (again)
//	                     what is known of it stays in force until its max_age is
//	                     over, whatever the DNS and the web server say; the next
//	                     attempt is made after 10 minutes. If only the record
//	                     cannot be looked up, the policy is fetched all the same
//
// So an attacker has to be there at the very first message to a domain, and to
// stay until the policy of the last one has expired. A domain that wants no
// policy any more publishes one with mode "none" (RFC 8461, section 8.3).
//
// Everything that comes from outside is bounded: the size of a policy, the
// time for it, the domains in memory and those in the store. Strangers who have
// us ask for millions of domains push out what is cheap to learn again; a
// policy in force that is in use is never pushed out (see [Cache]).
package mtasts
