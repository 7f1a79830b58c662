// Package mtasts reads what a domain publishes for SMTP MTA Strict Transport
// Security (RFC 8461): that mail to it must go by verified TLS, and to which
// hosts.
//
//	_mta-sts.DOMAIN TXT "v=STSv1; id=20261124T0100;"     there is a policy, and its id
//	https://mta-sts.DOMAIN/.well-known/mta-sts.txt       the policy
//
//	version: STSv1
//	mode: enforce                                        or testing, or none
//	mx: mx1.example.org
//	mx: *.example.net
//	max_age: 604800                                      seconds
//
// [ParseRecords] picks the record among the TXT records of a name, [ParsePolicy]
// reads a policy, [Policy.Matches] says whether a mail exchanger is one of it.
// What does not parse is as if it were not there (RFC 8461, section 3.1), so
// whoever publishes it has no policy and is not told: the errors name the field.
//
// The package asks nobody and keeps nothing. Senders fetch and remember policies
// elsewhere; a check-up looks at those that are ours.
package mtasts
