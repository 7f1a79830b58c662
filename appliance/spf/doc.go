// Package spf evaluates Sender Policy Framework (RFC 7208) and explains the
// result: which term of which record decided, what was looked up on the way,
// and what to write so that it comes out otherwise.
//
// A domain says in one TXT record from which addresses its mail comes. The
// record is a list of terms, read from left to right until one matches:
//
//	v=spf1 ip4:203.0.113.7 include:_spf.example.net ~all
//
//	ip4 ip6     the address is in a network
//	a mx        it is one of a name, or of the mail exchangers of a domain
//	include     the record of another domain lets it pass
//	exists ptr  a name made of the address exists; the name of the address is in a domain
//	all         always
//
// The sign before a term is the result when it matches: + pass (which is left
// out), - fail, ~ softfail, ? neutral. If nothing matches, the record that
// redirect= names decides, or else the result is neutral. What is checked is
// the domain of MAIL FROM, or the name in EHLO if that is empty (sections 2.3
// and 2.4).
//
// The mechanisms are those of blitiri.com.ar/go/spf; the grammar is checked
// before (section 4.6), which the library does not do. Of the 203 cases of the
// test suite of RFC 7208 all but 5 come out as they should: host names with a
// slash in them are mistakes here (4), and %{p}, which section 7.2 advises
// against, is never found out and stands for "unknown" (1). exp= is not followed: nobody is shown the words
// of strangers.
//
// # The walk
//
// [Check] evaluates the record as a receiver does, and then goes through it
// term by term, asking the library about each alone. Result comes from the
// first, Steps from the second.
//
// # Limits
//
// At most 10 terms that need a look-up and 2 answers that there is nothing
// (section 4.6.4), with more the result is permerror at every receiver. A check
// asks the resolver at most 150 questions and takes at most 20 seconds
// (section 4.6.4: "at least 20 seconds").
package spf
