// Package dkimkey reads, compares and writes the records that hold the public
// keys of DKIM (RFC 6376, section 3.6.1; RFC 8301; RFC 8463; RFC 8616).
//
// A key is published as text at <selector>._domainkey.<domain>:
//
//	v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A…
//
//	v=  the version, DKIM1; may be left out, but is first when it is there
//	k=  the kind of key: rsa (when left out) or ed25519
//	p=  the public key in base64; an empty one says that it is revoked
//	h=  the hashes that signatures may be made with; any when left out
//	s=  what may be signed: email or * (when left out)
//	t=  flags: y, the domain only tests DKIM; s, i= has to be d= exactly
//	n=  a note for people
//
// A receiver that finds a record it cannot read, or one that does not fit the
// signature, treats the message as if it were not signed. Nobody tells the
// sender. So this package answers three questions before a receiver does:
//
//   - [Parse]: is this a record at all, and if not, why not?
//   - [Choose]: of the TXT records at the name, which one is it? There has to be
//     exactly one (RFC 6376, section 3.6.2.2: results are undefined otherwise).
//   - [Record.Compare]: is it the key that we sign with, and will receivers
//     take it? What is wrong comes as a list of [Problem], each with its fix.
//
// [Text] writes the record of a key; there is no other place that does.
//
// The package asks nobody and keeps nothing: look-ups are for its callers.
package dkimkey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
)

// The kinds of keys, as k= names them.
const (
	RSA     = "rsa"
	Ed25519 = "ed25519" // RFC 8463
)

// The sizes of RSA keys, in bits.
const (
	// LeastRSA is what a key must have: RFC 8301, section 3.2: "Verifiers MUST
	// NOT consider signatures using RSA keys of less than 1024 bits as valid
	// signatures."
	LeastRSA = 1024
	// GoodRSA is what it should have: "Signers SHOULD use RSA keys of at least
	// 2048 bits."
	GoodRSA = 2048
)

// A Record is a record that could be read.
type Record struct {
	Text     string   // as it was read
	Version  string   // "DKIM1", or "" if it has no v=
	Kind     string   // RSA, Ed25519, or one that nobody knows here
	Hashes   []string // of h=, in lower case; nil allows any
	Services []string // of s=, in lower case; nil is every service
	Flags    []string // of t=, in lower case
	Notes    string   // of n=, as written: quoted-printable
	Revoked  bool     // p= is empty (RFC 6376, section 3.6.1)

	// Key is an *rsa.PublicKey or an ed25519.PublicKey. It is nil if the
	// record is revoked or Kind is unknown.
	Key crypto.PublicKey
}

// Testing says whether the domain only tests DKIM: receivers then "MUST NOT
// treat messages from Signers in testing mode differently from unsigned
// email" (RFC 6376, section 3.6.1, t=y).
func (r Record) Testing() bool { return slices.Contains(r.Flags, "y") }

// Strict says whether i= of a signature may not name a subdomain of d=
// (RFC 6376, section 3.6.1, t=s).
func (r Record) Strict() bool { return slices.Contains(r.Flags, "s") }

// Describe is the key in a few words: "an RSA key of 2048 bits", "an Ed25519
// key", "a revoked key".
func (r Record) Describe() string {
	if r.Revoked {
		return "a revoked key"
	}
	if r.Key == nil {
		return fmt.Sprintf("a key of the unknown kind %.30q", r.Kind)
	}
	return describe(r.Key)
}

func describe(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("an RSA key of %d bits", k.N.BitLen())
	case ed25519.PublicKey:
		return "an Ed25519 key"
	}
	return "a key of a kind that DKIM does not have"
}

// Kind is what k= says for a key, and "" for one that DKIM does not have.
func Kind(pub crypto.PublicKey) string {
	switch pub.(type) {
	case *rsa.PublicKey:
		return RSA
	case ed25519.PublicKey:
		return Ed25519
	}
	return ""
}

// Text is the record to publish for a key, which is an *rsa.PublicKey or an
// ed25519.PublicKey; for another one it panics, as nothing can sign with it.
// It can be longer than the 255 octets of one string of a TXT record:
// appliance.DNSRecord splits it.
func Text(pub crypto.PublicKey) string {
	return "v=DKIM1; k=" + Kind(pub) + "; p=" + base64.StdEncoding.EncodeToString(encode(pub))
}

func encode(pub crypto.PublicKey) []byte {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			panic("dkimkey: " + err.Error()) // RSA keys can be marshalled
		}
		return der
	case ed25519.PublicKey:
		// RFC 8463, section 4.2: the key itself, not a SubjectPublicKeyInfo.
		return k
	}
	panic(fmt.Sprintf("dkimkey: DKIM has no keys like %T", pub))
}
