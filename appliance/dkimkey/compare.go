package dkimkey

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
)

// A Severity says how bad a [Problem] is.
type Severity string

// The severities.
const (
	Note Severity = "note" // nothing is wrong; it is good to know
	Warn Severity = "warn" // signatures are valid, and some receivers think less of them
	Fail Severity = "fail" // signatures are not valid
)

// A Problem is what is wrong with a record, in words for the administrator.
type Problem struct {
	Severity Severity
	Text     string // what it says and what that means: a sentence without its full stop
	Fix      string // what to do about it; "" if nothing has to be done
}

// Compare says what keeps receivers from taking signatures that are made with
// the private key of pub, the worst first. Without problems it returns nil.
func (r Record) Compare(pub crypto.PublicKey) []Problem {
	all := append(r.compareKey(pub), r.compareUse()...)
	rank := []Severity{Fail, Warn, Note}
	slices.SortStableFunc(all, func(a, b Problem) int {
		return slices.Index(rank, a.Severity) - slices.Index(rank, b.Severity)
	})
	return all
}

// compareKey is about k= and p=.
func (r Record) compareKey(pub crypto.PublicKey) []Problem {
	publish := "publish this value: " + Text(pub)
	kind := Kind(pub)
	switch {
	case r.Revoked:
		return []Problem{{Fail, "p= is empty: the key is revoked, and every signature made with it is invalid",
			"sign with another selector, or, if nobody else has the old key, " + publish}}
	case r.Kind != kind:
		return []Problem{{Fail, fmt.Sprintf("k=%.30s is published, but signatures are made with %s", r.Kind, describe(pub)), publish}}
	case !sameKey(r.Key, pub):
		return []Problem{{Fail, fmt.Sprintf("p= holds another key than the one that signatures are made with: %s, which begins with %s and not with %s",
			r.Describe(), sample(r.Key, pub), sample(pub, r.Key)), publish}}
	}
	return r.compareSize()
}

func (r Record) compareSize() []Problem {
	key, ok := r.Key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	switch n := key.N.BitLen(); {
	case n < LeastRSA:
		return []Problem{{Fail, fmt.Sprintf("the RSA key has %d bits; receivers refuse those of less than %d", n, LeastRSA),
			fmt.Sprintf("make a new key of %d bits under a new selector", GoodRSA)}}
	case n < GoodRSA:
		return []Problem{{Warn, fmt.Sprintf("the RSA key has %d bits; it should have %d", n, GoodRSA),
			fmt.Sprintf("make a new key of %d bits under a new selector", GoodRSA)}}
	}
	return nil
}

// compareUse is about h=, s= and t=.
func (r Record) compareUse() (all []Problem) {
	if r.Hashes != nil && !slices.Contains(r.Hashes, "sha256") {
		// RFC 8301, section 3.1: signers sign with rsa-sha256 and nothing else.
		all = append(all, Problem{Fail, fmt.Sprintf("h=%.60s does not allow sha256, which signatures are made with", strings.Join(r.Hashes, ":")),
			"remove h= from the record, or make it h=sha256"})
	}
	if r.Services != nil && !slices.Contains(r.Services, "email") {
		all = append(all, Problem{Fail, fmt.Sprintf("s=%.60s does not allow mail to be signed", strings.Join(r.Services, ":")),
			"remove s= from the record, or make it s=email"})
	}
	if r.Testing() {
		all = append(all, Problem{Warn, "t=y says that the domain only tests DKIM: receivers treat its mail as if it were not signed",
			"remove t=y from the record when DKIM works"})
	}
	if r.Strict() {
		all = append(all, Problem{Note, "t=s makes signatures invalid whose i= names a subdomain; ours have no i=, so it does no harm", ""})
	}
	return all
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// sample is the beginning of p= of a key, as far as it takes to tell it from
// another one.
func sample(key, other crypto.PublicKey) string {
	const show = 12
	a, b := published(key), published(other)
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	if n += show; n >= len(a) {
		return a
	}
	return a[:n] + "…"
}

// published is p= of a key.
func published(key crypto.PublicKey) string {
	_, p, _ := strings.Cut(Text(key), "p=")
	return p
}
