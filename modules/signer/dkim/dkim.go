// Package dkim is signer "dkim": it signs mail with DomainKeys Identified Mail
// (RFC 6376, RFC 8301, RFC 8463).
//
//	signer "dkim" "example" {
//	  domains = ["example.com"]
//	}
//
// # Whose mail
//
// A message is signed for the domain of its From field: for that domain if it
// is configured, or else, while subdomains is true, for the nearest configured
// domain above it. A message of anybody else is passed on untouched; what
// happens to it is the decision of the pipeline (its attribute unsigned). A
// message that is ours and cannot be signed is deferred.
//
// # Keys
//
// A domain signs with the keys that key blocks bring for it; without one, with
// the key that key_dir holds for it; without that attribute, with keys that
// are made at the first start and kept in the store as
// "DOMAIN/SELECTOR.private". A key that is there is never replaced: one that
// cannot be read stops the start.
//
// Keys of the store have a life: next, current, old, retired ([life]). A keeper
// ([DKIM.keep]) moves them on, some minutes after there is reason to. A next
// key is made when the current one is older than rotate, when the
// configuration asks for another selector or algorithm, or by order; it signs
// when every name server of the zone has shown its record for an hour. What
// signs is in a [ring], which is exchanged as a whole, so that a message is
// signed with what was current when it came.
//
// # What is signed
//
// The whole body, and the header fields of the attribute headers, each listed
// once more often than it occurs, so that none can be added ("oversigned",
// RFC 6376, section 8.15). Fields that mailing lists add are listed only if
// they are there: a list must be able to add its own without breaking the
// signature. Both canonicalizations are relaxed. The signature expires (x=),
// which limits how long a captured message can be sent again to others
// (RFC 6376, section 8.6).
//
// The body is streamed through the hash; it is never in memory as a whole.
//
// RSA signatures are made by crypto/rsa, or, in a program that is built with
// the tag libcrypto, by the OpenSSL of the system ([rsaSigners]).
package dkim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindSigner,
		Name:    "dkim",
		Summary: "DKIM signatures, with keys it makes itself or is given",
		Example: `signer "dkim" "example" {
  domains = ["example.com"]
}
`,
		New: func() appliance.Module {
			return &DKIM{
				Subdomains: true,
				Selector:   "waxwing",
				Algorithms: []string{RSA2048},
				Headers:    slices.Clone(standardHeaders),
				Expire:     14 * 24 * time.Hour,
				Grace:      7 * 24 * time.Hour,
			}
		},
	})
}

// DKIM is the signer.
type DKIM struct {
	// The domains to sign for, those of the From fields of your mail. Domains
	// that only key blocks name are added.
	Domains []string `hcl:"domains,optional"`
	// Whether mail from below a domain, such as news.example.com, is signed for
	// the domain itself when it has no entry of its own. Default true.
	Subdomains bool `hcl:"subdomains,optional"`
	// The name under which the public key stands in the DNS:
	// SELECTOR._domainkey.DOMAIN. A key that is made beside it for ed25519 has
	// "-ed25519" behind the name. Default "waxwing"; who comes from OpenDKIM
	// keeps "mail" and the record that is published already.
	Selector string `hcl:"selector,optional"`
	// The kinds of keys to make for domains that bring none: "rsa2048",
	// "rsa4096", "ed25519". With two of them every message is signed twice.
	// Default ["rsa2048"], which every receiver verifies.
	Algorithms []string `hcl:"algorithms,optional"`
	// Keys that exist already. The label is the selector.
	KeyFiles []KeyFile `hcl:"key,block"`
	// A directory of keys that exist already, one for each domain:
	// DOMAIN/SELECTOR.private, DOMAIN.private or SELECTOR.private, the first
	// that is there. With key_dir no key is made.
	KeyDir string `hcl:"key_dir,optional"`
	// The header fields that are signed whether they are there or not, so that
	// nobody can add or change one. "From" is among them. The default protects
	// what readers see and what says how to read the body.
	Headers []string `hcl:"headers,optional"`
	// How long a signature is valid, "0s" for ever. It should be longer than
	// mail may wait in queues. Default 14d.
	Expire time.Duration `hcl:"expire,optional"`
	// How old a key that the server has made may become: after so much time
	// the next one is made, and signs when all name servers show its record.
	// Without publish somebody has to publish it; until then the old one signs.
	// "0s", the default, is never, unless by "waxwing dkim rotate"; else at
	// least 7d, and "180d" is usual.
	Rotate time.Duration `hcl:"rotate,optional"`
	// How long the record of a key that was replaced stays in the DNS at least,
	// for mail that is on its way. Default 7d, at least 1d.
	Grace time.Duration `hcl:"grace,optional"`
	// The dns block that publishes the records of the keys that the server
	// makes, and deletes those of retired ones, such as dns.zone. Default: that
	// is left to you.
	Publish appliance.Ref[appliance.DNSProvider] `hcl:"publish,optional"`

	log      *zap.Logger
	values   appliance.Values
	resolver appliance.Resolver
	queued   func(ctx context.Context, before time.Time) (bool, error)
	plan     *plan
	rsa      *rsaSigners
	signed   *prometheus.CounterVec // by domain and result
	problems *prometheus.CounterVec // by domain

	files *ring // the keys of files
	ring  atomic.Pointer[ring]
	stop  context.CancelFunc
	kept  sync.WaitGroup

	mu         sync.Mutex           // of who stores to ring
	complaints map[string]complaint // by domain; guarded by mu
}

// KeyFile is a key block.
type KeyFile struct {
	// The selector under which the public key is published.
	Selector string `hcl:"selector,label"`
	// The domain to sign for. Default: every domain of domains.
	Domain string `hcl:"domain,optional"`
	// The file of the private key: PEM, RSA or Ed25519, such as the
	// mail.private of opendkim-genkey.
	File string `hcl:"file"`
}

var (
	_ appliance.Modifier     = (*DKIM)(nil)
	_ appliance.Starter      = (*DKIM)(nil)
	_ appliance.Validator    = (*DKIM)(nil)
	_ appliance.DNSPublisher = (*DKIM)(nil)
	_ appliance.KeyKeeper    = (*DKIM)(nil)
)

// leastExpire is a day: mail may wait longer than that for a receiver that is
// down, and its signature is verified when it arrives.
const leastExpire = 24 * time.Hour

// The least of the times of a key.
const (
	leastRotate = 7 * 24 * time.Hour
	leastGrace  = 24 * time.Hour
)

// Validate implements appliance.Validator.
func (d *DKIM) Validate() error {
	if d.Expire != 0 && d.Expire < leastExpire {
		return &appliance.AttrError{Attr: "expire",
			Msg: `must be at least "1d", since mail can wait in queues that long, or "0s" for signatures that do not expire`}
	}
	if err := d.validateHeaders(); err != nil {
		return err
	}
	p, err := d.makePlan()
	if err != nil {
		return err
	}
	return d.validateLife(p)
}

func (d *DKIM) validateLife(p *plan) error {
	if d.Rotate != 0 && d.Rotate < leastRotate {
		return &appliance.AttrError{Attr: "rotate", Msg: `must be at least "7d", or "0s" for never`}
	}
	if d.Grace < leastGrace {
		return &appliance.AttrError{Attr: "grace", Msg: `must be at least "1d": the record of a key is needed when mail that it has signed arrives`}
	}
	const idle = "is for keys that the server makes, and all domains bring their own"
	switch makes := p.makes(d.KeyDir); {
	case d.Rotate > 0 && !makes:
		return &appliance.AttrError{Attr: "rotate", Msg: idle}
	case d.Publish.IsSet() && !makes:
		return &appliance.AttrError{Attr: "publish", Msg: idle}
	case d.Rotate > 0:
		return d.validateSelectors(p)
	}
	return nil
}

// validateSelectors objects to selectors that have no room for a day.
func (d *DKIM) validateSelectors(p *plan) error {
	for _, domain := range p.domains {
		for _, w := range p.keys[domain] {
			if _, err := new(life).selector(w, false, time.Time{}); w.file == "" && err != nil {
				return &appliance.AttrError{Attr: "selector", Msg: "has no room for the day that a next key has behind it", Err: err}
			}
		}
	}
	return nil
}

// never are fields that must not be signed: RFC 6376, section 5.4.1, and those
// that the next server changes.
var never = []string{"Return-Path", "Received", "DKIM-Signature", "Authentication-Results", "Bcc", "Resent-Bcc"}

// maxHeaderName is what fits into a line of a signature. See [lineLength].
const maxHeaderName = 64

func (d *DKIM) validateHeaders() error {
	seen := make(map[string]bool)
	for _, name := range d.Headers {
		if !isFieldName(name) {
			return &appliance.AttrError{Attr: "headers", Msg: fmt.Sprintf("%.70q is no name of a header field", name)}
		}
		if slices.ContainsFunc(never, func(n string) bool { return strings.EqualFold(n, name) }) {
			return &appliance.AttrError{Attr: "headers", Msg: name + " is changed or removed on the way and cannot be signed"}
		}
		if seen[strings.ToLower(name)] {
			return &appliance.AttrError{Attr: "headers", Msg: name + " stands in the list twice"}
		}
		seen[strings.ToLower(name)] = true
	}
	// RFC 6376, section 5.4: the From header field MUST be signed.
	if !seen["from"] {
		return &appliance.AttrError{Attr: "headers", Msg: `must hold "From"`}
	}
	if len(d.Headers) > maxHeaders {
		return &appliance.AttrError{Attr: "headers", Msg: fmt.Sprintf("has more than %d names", maxHeaders)}
	}
	return nil
}

// isFieldName follows RFC 5322, section 2.2, less the semicolon: RFC 6376,
// section 3.5, on h=: a field name that holds one cannot stand in the list.
func isFieldName(s string) bool {
	if s == "" || len(s) > maxHeaderName {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == ':' || c == ';' {
			return false
		}
	}
	return true
}

// Provision implements appliance.Module: it reads the keys that stand in
// files. Those of the store are read in Start.
func (d *DKIM) Provision(ctx *appliance.Context) (err error) {
	d.log, d.values, d.resolver, d.queued = ctx.Log, ctx.Values, ctx.Resolver, ctx.Queued
	if d.queued == nil {
		d.queued = func(context.Context, time.Time) (bool, error) { return false, errors.New("it is not known here") }
	}
	d.signed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "waxwing_dkim_signatures_total",
		Help: "Messages signed, or not signed because of an error, by domain.",
	}, []string{"domain", "result"})
	d.complaints = make(map[string]complaint)
	d.problems = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "waxwing_dkim_key_failures_total",
		Help: "Times that the keys of a domain could not be looked after, by domain.",
	}, []string{"domain"})
	d.rsa = newRSASigners(d.log)
	if ctx.Metrics != nil {
		for _, c := range []prometheus.Collector{d.signed, d.problems, (*keyMetrics)(d), d.rsa.fallbacks, d.rsa.info()} {
			if err := ctx.Metrics.Register(c); err != nil {
				return err
			}
		}
	}
	if d.plan, err = d.makePlan(); err != nil {
		return err
	}
	if d.files, err = d.loadFiles(); err != nil {
		return err
	}
	d.ring.Store(d.files)
	return nil
}
