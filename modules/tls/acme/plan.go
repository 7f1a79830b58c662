package acme

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The challenges.
const (
	http01    = "http-01"
	tlsALPN01 = "tls-alpn-01"
	dns01     = "dns-01"
)

// The kinds of keys.
const keyP256 = "p256"

var keyTypes = []string{keyP256, "p384", "rsa2048", "rsa4096"}

// A plan is what the attributes mean.
type plan struct {
	names       []string // none: those of the server and its listeners
	challenges  []string
	authorities []authority
	keyType     certmagic.KeyType
	// Where certmagic is told to listen, and finds us there.
	listenHost         string
	httpPort, alpnPort int
}

// Validate implements appliance.Validator.
func (a *ACME) Validate() error {
	_, err := a.plannable()
	return errors.Join(a.Settings.Validate(), err)
}

// makePlan is plannable with the host name of the server and the files that it
// names.
func (a *ACME) makePlan() (plan, error) {
	p, err := a.plannable()
	if err != nil {
		return p, err
	}
	if err := a.certifiable(p.names); err != nil {
		return p, err
	}
	for i := range p.authorities {
		if err := p.authorities[i].readRoots(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// certifiable checks that the host name of the server can be in a certificate,
// if the block does not name others: it may be an address, such as
// "[192.0.2.1]".
func (a *ACME) certifiable(names []string) error {
	if len(names) > 0 {
		return nil
	}
	if _, err := canonicalName(a.hostname); err != nil {
		return &appliance.AttrError{
			Attr: "names", Msg: `are those of the server and its listeners unless they are written, and its host name cannot be certified; change hostname, or write names = ["mail.example.com"]`, Err: err,
		}
	}
	return nil
}

// plannable checks all attributes; it is pure.
func (a *ACME) plannable() (plan, error) {
	var p plan
	var bad [7]error
	if p.names, bad[0] = canonical(a.Names); bad[0] != nil {
		bad[0] = &appliance.AttrError{Attr: "names", Msg: `takes host names, such as "mail.example.com" or "*.example.com"`, Err: bad[0]}
	} else if len(p.names) > maxNames {
		bad[0] = &appliance.AttrError{Attr: "names", Msg: fmt.Sprintf("has %d names, at most %d are allowed", len(p.names), maxNames)}
	}
	p.challenges, bad[1] = a.challenges()
	p.authorities, bad[2] = a.authorities()
	bad[3] = p.setAddresses(a)
	bad[4] = a.validateEmail()
	bad[5] = a.validateDNS(p.challenges)
	p.keyType = certmagic.KeyType(a.KeyType)
	if !slices.Contains(keyTypes, a.KeyType) {
		bad[6] = &appliance.AttrError{Attr: "key_type", Msg: `must be "p256", "p384", "rsa2048" or "rsa4096"`}
	}
	return p, errors.Join(bad[:]...)
}

// challenges are those to use.
func (a *ACME) challenges() ([]string, error) {
	all := a.Challenges
	switch {
	case len(all) == 0 && a.DNS.IsSet():
		all = []string{dns01}
	case len(all) == 0:
		all = []string{http01, tlsALPN01}
	}
	blame := func(msg string) error { return &appliance.AttrError{Attr: "challenges", Msg: msg} }
	for _, c := range all {
		if !slices.Contains([]string{http01, tlsALPN01, dns01}, c) {
			return nil, blame(fmt.Sprintf("%q is no challenge; %s", c, suggest(c)))
		}
	}
	switch hasDNS := slices.Contains(all, dns01); {
	case hasDNS && !a.DNS.IsSet():
		return nil, blame(`dns-01 needs a dns block that changes the zone; write one, such as dns "rfc2136" "zone" {…}, and dns = dns.zone here`)
	case hasDNS && len(all) > 1:
		return nil, blame(`dns-01 stands alone: it needs no port and is never refused for one; write challenges = ["dns-01"], or leave it out`)
	case !hasDNS && a.DNS.IsSet():
		return nil, blame(`has no dns-01, so that dns is of no use; write challenges = ["dns-01"] or leave dns out`)
	case !hasDNS && slices.ContainsFunc(a.Names, isWildcard):
		return nil, &appliance.AttrError{Attr: "names", Msg: `a wildcard name needs dns-01; write a dns block, such as dns "rfc2136" "zone" {…}, and dns = dns.zone here`}
	}
	return all, nil
}

func isWildcard(name string) bool { return strings.HasPrefix(name, wildcard) }

// suggest says what somebody may have meant.
func suggest(challenge string) string {
	for _, c := range []struct{ part, meant string }{{"alpn", tlsALPN01}, {"tls", tlsALPN01}, {"http", http01}, {"dns", dns01}} {
		if strings.Contains(strings.ToLower(challenge), c.part) {
			return fmt.Sprintf("you may have meant %q", c.meant)
		}
	}
	return `there are "http-01", "tls-alpn-01" and "dns-01"`
}

func (p *plan) setAddresses(a *ACME) error {
	httpHost, httpPort, err := splitAddress("http_address", a.HTTPAddress)
	if err != nil {
		return err
	}
	alpnHost, alpnPort, err := splitAddress("tls_alpn_address", a.TLSALPNAddress)
	if err != nil {
		return err
	}
	if p.uses(http01) && p.uses(tlsALPN01) && httpPort == alpnPort && (httpHost == alpnHost || isAny(httpHost) || isAny(alpnHost)) {
		return &appliance.AttrError{Attr: "tls_alpn_address", Msg: "has the port of http_address, and an authority comes to each with its own protocol; write two ports, or one of the challenges alone"}
	}
	p.httpPort, p.alpnPort = httpPort, alpnPort
	// There is one host for both ports. Of two, the wildcard covers both: what
	// listens on any address of a port is in the way of the wildcard, too.
	if httpHost == alpnHost {
		p.listenHost = httpHost
	}
	return nil
}

// isAny says whether to listen on all addresses of the machine.
func isAny(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

func splitAddress(attr, address string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(service)
	}
	if err != nil || port < 1 || port > 65535 {
		return "", 0, &appliance.AttrError{Attr: attr, Msg: `must be a port with or without an address before it, such as ":8080" or "127.0.0.1:8080"`}
	}
	return host, port, nil
}

func (a *ACME) validateEmail() error {
	if a.Email == "" {
		return nil
	}
	m, err := appliance.ParseMailbox(a.Email)
	if err == nil && (m.Domain == "" || strings.ContainsAny(a.Email, "\"' ,;?&%/\\") || !isASCII(a.Email)) {
		err = errors.New("not an address that authorities take")
	}
	if err != nil {
		return &appliance.AttrError{Attr: "email", Msg: `must be one address, such as "postmaster@example.com"`, Err: err}
	}
	return nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}

// maxPropagation bounds the waits for a record. No zone is slower than an hour.
const maxPropagation = time.Hour

// validateDNS checks the attributes that only dns-01 uses.
func (a *ACME) validateDNS(challenges []string) error {
	useless := func(attr string) error {
		return &appliance.AttrError{Attr: attr, Msg: "is for dns-01; write dns = dns.NAME with it, or leave it out"}
	}
	uses := slices.Contains(challenges, dns01)
	for _, d := range []struct {
		attr  string
		value time.Duration
	}{{"propagation_delay", a.PropagationDelay}, {"propagation_timeout", a.PropagationTimeout}} {
		if d.value < 0 || d.value > maxPropagation {
			return &appliance.AttrError{Attr: d.attr, Msg: `must be between "0s" and "1h"`}
		}
	}
	switch {
	case !uses && challenges != nil && a.OverrideDomain != "":
		return useless("override_domain")
	case !uses && challenges != nil && a.PropagationDelay != 0:
		return useless("propagation_delay")
	case !uses && challenges != nil && len(a.Resolvers) > 0:
		return useless("resolvers")
	}
	for _, r := range a.Resolvers {
		if _, _, err := splitAddress("resolvers", r); err != nil || strings.HasPrefix(r, ":") {
			return &appliance.AttrError{Attr: "resolvers", Msg: fmt.Sprintf(`%.80q is not an address with a port, such as "192.0.2.53:53"`, r)}
		}
	}
	if a.OverrideDomain != "" && !isRecordName(a.OverrideDomain) {
		return &appliance.AttrError{Attr: "override_domain", Msg: `must be the full name of the record, such as "_acme-challenge.dyn.example.net"`}
	}
	return nil
}

// isRecordName says whether s is the name of a record. Unlike that of a host,
// it may have underscores.
func isRecordName(s string) bool {
	_, err := appliance.ParseDomain(strings.ReplaceAll(strings.TrimSuffix(s, "."), "_", ""))
	return err == nil
}

func (p *plan) uses(challenge string) bool { return slices.Contains(p.challenges, challenge) }

// perAuthority is how long an authority may take: minutes, if it is slow and a
// challenge is tried after the other.
const perAuthority = 5 * time.Minute

// attemptTimeout is how long an attempt may take.
func (a *ACME) attemptTimeout() time.Duration {
	each := perAuthority
	if a.plan.uses(dns01) {
		each += a.PropagationDelay + a.PropagationTimeout
	}
	return time.Duration(len(a.plan.authorities)) * each
}

// needs says, for people, what the challenges need.
func (p *plan) needs(a *ACME) []string {
	var all []string
	for _, c := range p.challenges {
		switch c {
		case http01:
			all = append(all, "http-01 needs port 80 published to the internet: docker run -p 80:"+strconv.Itoa(p.httpPort)+", or add a dns block for dns-01")
		case tlsALPN01:
			all = append(all, "tls-alpn-01 needs port 443 published to the internet: docker run -p 443:"+strconv.Itoa(p.alpnPort)+"; one of the two is enough")
		case dns01:
			all = append(all, "dns-01 needs "+a.DNS.Addr().String()+" to be able to change the zone")
		}
	}
	return all
}
