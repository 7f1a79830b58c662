package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mholt/acmez/v3"
	acmeproto "github.com/mholt/acmez/v3/acme"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A question is what an attempt was about, for the words about its failure.
type question struct {
	name        string
	challenges  []string
	http, alpn  string // addresses
	dns         string // the dns block
	authorities []authority
}

func (a *ACME) question(name string) question {
	return question{
		name: name, challenges: a.plan.challenges, http: a.HTTPAddress, alpn: a.TLSALPNAddress,
		dns: a.DNS.Addr().String(), authorities: a.plan.authorities,
	}
}

// explain says what an administrator can do about an attempt that failed. It
// is pure.
func explain(err error, q question) string {
	f, ok := errors.AsType[*failure](err)
	switch {
	case !ok:
		return q.one(err, "")
	case f.store != nil:
		return q.store(f.store)
	}
	var parts []string
	for _, r := range f.refusals {
		from := q.authority(r.authority)
		words := q.one(r.err, from)
		if len(q.authorities) > 1 {
			words = from + ": " + words
		}
		parts = append(parts, words)
	}
	if len(parts) == 0 {
		parts = append(parts, q.withoutAuthority(f))
	}
	if len(f.refusals) > 0 {
		for _, c := range f.closed {
			parts = append(parts, "besides, "+q.door(c))
		}
	}
	return strings.Join(parts, "; ")
}

// authority is what people call the authority with a key.
func (q *question) authority(key string) string {
	for i := range q.authorities {
		if q.authorities[i].key() == key {
			return q.authorities[i].source
		}
	}
	return key
}

// withoutAuthority explains what failed before an authority was asked, or after
// it had issued.
func (q *question) withoutAuthority(f *failure) string {
	switch {
	case errors.Is(f.err, context.DeadlineExceeded):
		return fmt.Sprintf("it took longer than %v; another server may be at it, or the authority or the DNS is very slow", f.timeout)
	case len(f.closed) > 0:
		parts := make([]string, 0, len(f.closed))
		for _, c := range f.closed {
			parts = append(parts, q.door(c))
		}
		return strings.Join(parts, "; ") + "; or add a dns block for dns-01, which needs no port"
	}
	return q.one(f.err, "")
}

func (q *question) store(err error) string {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return "the disk is full, so that a certificate could not be kept; make room in the data directory"
	}
	if unfit, ok := errors.AsType[*unfitError](err); ok {
		return "the authority has issued a certificate that is of no use: " + clean(unfit.Error())
	}
	return "the store failed: " + clean(err.Error())
}

// door explains why a challenge could not be offered.
func (q *question) door(err error) string {
	d, ok := errors.AsType[*closedDoor](err)
	if !ok {
		return clean(err.Error())
	}
	attr, port, way := "http_address", ":8080", "let that hand "+challengePath+" on"
	if d.challenge == tlsALPN01 {
		attr, port, way = "tls_alpn_address", ":8443", "let that pass connections with the protocol "+acmez.ACMETLS1Protocol+" on"
	}
	advice := ""
	switch {
	case errors.Is(d.err, syscall.EACCES):
		advice = fmt.Sprintf("; give the server the right to (CAP_NET_BIND_SERVICE), or set %s = %q, say, and lead the port there", attr, port)
	case errors.Is(d.err, syscall.EADDRINUSE):
		advice = fmt.Sprintf("; another program has it: %s, and set %s to where it does", way, attr)
	}
	reason := d.err
	if e, ok := errors.AsType[syscall.Errno](d.err); ok {
		reason = e
	}
	return fmt.Sprintf("%s: cannot listen on %s: %v%s", d.challenge, d.address, reason, advice)
}

// one explains one error; from is the authority, "" if it is none's.
func (q *question) one(err error, from string) string {
	if err == nil {
		return "no reason given"
	}
	if z, ok := errors.AsType[*zoneError](err); ok {
		return fmt.Sprintf("%s could not change the zone: %s", z.addr, clean(z.err.Error()))
	}
	if p, ok := errors.AsType[acmeproto.Problem](err); ok {
		return q.problem(p)
	}
	if words := q.network(err, from); words != "" {
		return words
	}
	for _, known := range phrases {
		if strings.Contains(err.Error(), known.part) {
			return fmt.Sprintf(known.words, q.name)
		}
	}
	return clean(err.Error())
}

// phrases are of certmagic's errors that have no type. Each %[1]s is the name.
var phrases = []struct{ part, words string }{
	{"does not qualify for a public certificate", "%[1]s is not a name that a public authority certifies; set hostname to a name in the public DNS, or use an issuer of your own"},
	{"could not determine zone", "the zone of %[1]s was not found in the DNS; check the name, and resolvers if the system's servers cannot see the zone"},
	{"timed out waiting for record to fully propagate", "the record for %[1]s did not appear in the DNS in time; check that the dns block changes the zone that the world sees, or raise propagation_timeout"},
	{"checking DNS propagation", "the DNS could not be asked whether the record for %[1]s is there; check resolvers"},
	{"no solvers available", "the authority offers none of our challenges for %[1]s; a wildcard name needs dns-01"},
	{"decoding private key", "the stored key of the account with the authority is damaged; remove it from the store to have a new one made, for %[1]s and all others"},
}

// network explains why an authority could not be reached; "" is that it is not
// about the network.
func (q *question) network(err error, from string) string {
	if from == "" {
		from = "the authority"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate of " + from + "'s own server is not trusted; for an authority of your own, set root_file to its root certificate"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the server of %s has no certificate for %s; check directory", from, clean(e.Host))
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("%s cannot be reached: its name %s was not found: %s; check the DNS of this machine", from, clean(e.Name), clean(e.Err))
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return from + " does not answer: it timed out; check that this machine may open connections to the internet"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Sprintf("%s cannot be reached: %s; check that this machine may open connections to the internet", from, clean(e.Error()))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return from + " took too long"
	}
	return ""
}

// problem explains what an authority says (RFC 8555, section 6.7).
func (q *question) problem(p acmeproto.Problem) string {
	if len(p.Subproblems) > 0 {
		return q.subproblems(p.Subproblems)
	}
	detail := clean(p.Detail)
	if detail == "" {
		detail = clean(p.Title)
	}
	kind := strings.TrimPrefix(p.Type, acmeproto.ProblemTypeNamespace)
	advice := q.advice(kind)
	if p.Status == http.StatusTooManyRequests && kind != "rateLimited" {
		advice = q.advice("rateLimited")
	}
	switch {
	case advice == "" && detail == "":
		return fmt.Sprintf("the authority refused (%s, HTTP status %d)", clean(kind), p.Status)
	case advice == "":
		return fmt.Sprintf("the authority refused (%s): %s", clean(kind), detail)
	case detail == "":
		return advice
	}
	return fmt.Sprintf("%s (the authority: %s)", advice, detail)
}

// maxSubproblems bounds the parts of a problem that people are told of.
const maxSubproblems = 5

// subproblems explains the parts of a problem (RFC 8555, section 6.7.1).
func (q *question) subproblems(all []acmeproto.Subproblem) string {
	var parts []string
	for i, s := range all {
		if i == maxSubproblems {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		about := *q
		if s.Identifier.Value != "" {
			about.name = clean(s.Identifier.Value)
		}
		s.Subproblems = nil
		if words := about.problem(s.Problem); !slices.Contains(parts, words) {
			parts = append(parts, words)
		}
	}
	return strings.Join(parts, "; ")
}

// advice is what to do about a kind of problem; "" if we know no better than
// the authority.
func (q *question) advice(kind string) string {
	switch kind {
	case "connection":
		return "the authority could not connect to " + q.name + q.ports() + "; publish the port, check the firewall and the A and AAAA records, or add a dns block for dns-01"
	case "unauthorized", "incorrectResponse":
		return "somebody else answered for " + q.name + q.instead()
	case "tls":
		return "the authority could not make a TLS handshake for " + q.name + " on port 443: is a proxy ending TLS there? Let it pass TLS through to " + q.alpn + ", or use http-01 or dns-01"
	case "dns":
		return "the authority found no address, or no record, of " + q.name + " in the DNS; give it A and AAAA records that lead here, and see that all servers of the zone answer"
	case "caa":
		return "a CAA record in the DNS forbids this authority to certify " + q.name + "; change the record, or use another issuer"
	case "rejectedIdentifier", "unsupportedIdentifier":
		return "the authority does not certify " + q.name + "; it takes names in the public DNS only, and not all of them"
	case "rateLimited":
		return "the authority has had too many requests for " + q.name + "; it will be asked again when it allows it. staging = true is for trying things out"
	case "externalAccountRequired":
		return "the authority wants an account that it knows; write eab_key_id and eab_key in the issuer block"
	case "invalidContact", "unsupportedContact":
		return "the authority does not take the e-mail address; change email, or leave it out"
	case "userActionRequired":
		return "the authority wants its account holder to do something first"
	case "badNonce", "serverInternal":
		return "the authority is in trouble; it will be asked again"
	}
	return ""
}

func (q *question) ports() string {
	var all []string
	if slices.Contains(q.challenges, http01) {
		all = append(all, "80")
	}
	if slices.Contains(q.challenges, tlsALPN01) {
		all = append(all, "443")
	}
	if len(all) == 0 {
		return ""
	}
	return " on port " + strings.Join(all, " or ")
}

func (q *question) instead() string {
	if slices.Contains(q.challenges, dns01) {
		return ": the record that it found in the DNS is not ours; check that " + q.dns + " changes the zone that the world sees, and override_domain"
	}
	return q.ports() + ": the name leads to another machine, or a proxy has the port; let it hand the challenge on to " + q.http +
		" (http_address), or add a dns block for dns-01"
}

// maxWords bounds what strangers contribute to an error, in octets.
const maxWords = 400

// clean makes the words of a stranger fit for a log and a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if appliance.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}

// maxError bounds the whole error of an attempt in the log, in octets.
const maxError = 4 << 10

// brief bounds an error that goes to the log as it is: whole pages of a web
// server may be in it.
func brief(s string) string {
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "") + "…"
	}
	return s
}

// RetryAfter is in no error of the library; Let's Encrypt writes it into the
// text as well.
var retryAfter = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)`)

// limitedFor is how long the authorities, each of which has had too many
// requests, want to be left alone. It is 0 if one of them did not say so: that
// one may issue as soon as what is wrong with it has passed.
func limitedFor(err error, now time.Time) time.Duration {
	f, ok := errors.AsType[*failure](err)
	switch {
	case !ok:
		return limitOf(err, now)
	case len(f.refusals) == 0:
		return limitOf(f.err, now)
	}
	shortest := limitedAtMost
	for _, r := range f.refusals {
		shortest = min(shortest, limitOf(r.err, now))
	}
	return shortest
}

// limitOf is how long one authority wants to be left alone.
func limitOf(err error, now time.Time) time.Duration {
	p, ok := errors.AsType[acmeproto.Problem](err)
	if !ok || p.Type != acmeproto.ProblemTypeRateLimited && p.Status != http.StatusTooManyRequests {
		return 0
	}
	wait := limitedAtLeast
	if m := retryAfter.FindStringSubmatch(p.Detail); m != nil {
		if at, err := time.Parse(time.DateTime, m[1]+" "+m[2]); err == nil {
			wait = max(wait, at.Sub(now)+time.Minute) // our clocks may differ
		}
	}
	return min(wait, limitedAtMost)
}
