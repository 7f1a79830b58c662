package dkimkey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance/internal/taglist"
)

// maxRSA bounds the keys that are looked at, in bits. Verifiers need not
// support more than 4096 (RFC 8301, section 3.2); what is longer costs
// receivers time, and no generator makes it.
const maxRSA = 16384

// Parse reads the text of one record: the strings of the TXT record put
// together without anything between them (RFC 6376, section 3.6.2.2). The
// error says in words why receivers will not use it. Tags that are not known
// are ignored, as are unknown flags, hashes and services.
func Parse(text string) (Record, error) {
	tags, err := taglist.Parse(text)
	if err != nil {
		return Record{}, err
	}
	r := Record{Text: text, Kind: RSA}
	key, found := "", false
	for i, tag := range tags {
		switch tag.Name {
		case "v":
			// RFC 6376, section 3.6.1: "This tag MUST be the first tag in the
			// record. Records beginning with a "v=" tag with any other value
			// MUST be discarded."
			if i > 0 {
				return Record{}, errors.New("v= has to be the first tag")
			}
			if r.Version = tag.Value; r.Version != "DKIM1" {
				return Record{}, fmt.Errorf(`v=%.30s is not "DKIM1"`, r.Version)
			}
		case "k":
			r.Kind = strings.ToLower(tag.Value)
		case "p":
			key, found = taglist.Unfold(tag.Value), true
		default:
			r.set(tag)
		}
	}
	if !found {
		return Record{}, errors.New("it has no p=, which holds the key")
	}
	if r.Revoked = key == ""; !r.Revoked {
		r.Key, err = parseKey(r.Kind, key)
	}
	return r, err
}

// set sets what can be left out.
func (r *Record) set(tag taglist.Tag) {
	switch tag.Name {
	case "h":
		r.Hashes = taglist.Items(strings.ToLower(tag.Value))
	case "s":
		// "*" matches all service types, and is the default.
		if r.Services = taglist.Items(strings.ToLower(tag.Value)); slices.Contains(r.Services, "*") {
			r.Services = nil
		}
	case "t":
		r.Flags = taglist.Items(strings.ToLower(tag.Value))
	case "n":
		r.Notes = tag.Value
	}
}

// parseKey reads p=. A kind that is not known is no error: the record is one,
// but nobody can use it.
func parseKey(kind, text string) (crypto.PublicKey, error) {
	switch kind {
	case RSA, Ed25519:
	default:
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("p= is not base64; often a part of the key is missing, or a quotation mark or a backslash was copied along")
	}
	if kind == Ed25519 {
		return parseEd25519(b)
	}
	return parseRSA(b)
}

func parseEd25519(b []byte) (crypto.PublicKey, error) {
	// RFC 8463, section 3: "the public key is a 32-octet value".
	if len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("p= has %d octets; an Ed25519 key has %d, and is published without the header that openssl puts before it", len(b), ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(b), nil
}

func parseRSA(b []byte) (crypto.PublicKey, error) {
	// RFC 6376 says RSAPublicKey, and everybody publishes a
	// SubjectPublicKeyInfo: both are read (erratum 3017).
	var key *rsa.PublicKey
	if parsed, err := x509.ParsePKIXPublicKey(b); err == nil {
		if key, _ = parsed.(*rsa.PublicKey); key == nil {
			return nil, errors.New("k= says rsa, and p= holds a key of another kind")
		}
	} else if key, err = x509.ParsePKCS1PublicKey(b); err != nil {
		return nil, errors.New("p= holds no RSA key; often the end of it is missing")
	}
	if n := key.N.BitLen(); n > maxRSA {
		return nil, fmt.Errorf("p= holds an RSA key of %d bits; receivers take keys of up to 4096", n)
	}
	return key, nil
}

// Choose returns the record among the texts of all TXT records at a name.
// There has to be one that can be read and no second one; text that does not
// look like a key is passed over. A revoked key counts as one.
func Choose(texts []string) (Record, error) {
	var found []Record
	var bad error
	strange := 0
	for _, text := range texts {
		r, err := Parse(text)
		switch {
		case err == nil:
			found = append(found, r)
		case !looksLikeKey(text):
			strange++
		case bad == nil:
			bad = err
		}
	}
	switch {
	case len(found) > 1:
		// RFC 6376, section 3.6.2.2: "TXT RRs MUST be unique for a particular
		// selector name; that is, if there are multiple records in an RRset,
		// the results are undefined."
		return Record{}, fmt.Errorf("there are %d keys at one name, and receivers take any of them: delete all but one", len(found))
	case len(found) == 1 && bad != nil:
		return Record{}, fmt.Errorf("beside the key there is a second one that cannot be read (%w): delete it", bad)
	case len(found) == 1:
		return found[0], nil
	case bad != nil:
		return Record{}, fmt.Errorf("the record cannot be read: %w", bad)
	case strange > 0:
		return Record{}, fmt.Errorf("none of the %s there is a key: %.60q", plural(strange, "text"), texts[0])
	}
	return Record{}, errors.New("there is no TXT record")
}

// looksLikeKey says whether a text that cannot be read was meant as a key.
func looksLikeKey(text string) bool {
	text = taglist.Unfold(text)
	return strings.HasPrefix(strings.ToLower(text), "v=dkim1") ||
		strings.HasPrefix(text, "p=") || strings.HasPrefix(text, "k=") || strings.Contains(text, ";p=")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
