package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	acmeproto "github.com/mholt/acmez/v3/acme"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestExplain: what an administrator reads, and what to do is in it.
func TestExplain(t *testing.T) {
	ports := question{
		name: host, challenges: []string{http01, tlsALPN01}, http: ":80", alpn: ":443",
		authorities: []authority{{source: letsencrypt, directory: "https://ca.example/dir"}},
	}
	zoned := question{name: host, challenges: []string{dns01}, dns: "dns.zone", authorities: ports.authorities}
	problem := func(kind, detail string) error {
		return fmt.Errorf("[%s] Obtain: solving challenges: %w (order=https://ca.example/o/1)", host,
			acmeproto.Problem{Type: acmeproto.ProblemTypeNamespace + kind, Detail: detail, Status: 400})
	}
	refused := func(err error) error {
		return &failure{err: err, refusals: []refusal{{"ca.example-dir", err}}}
	}
	for _, c := range []struct {
		name string
		err  error
		q    question
		want []string
	}{
		{"refused connection", refused(problem("connection", "192.0.2.1: Connection refused")), ports,
			[]string{"could not connect to " + host + " on port 80 or 443", "publish the port", "AAAA", "(the authority: 192.0.2.1: Connection refused)"}},
		{"another server on port 80", problem("unauthorized", "Invalid response from http://mx.example.com/…: 404"), ports,
			[]string{"somebody else answered for " + host + " on port 80 or 443", "proxy", "http_address", "dns-01", "404"}},
		{"another record", problem("unauthorized", "Incorrect TXT record"), zoned, []string{"dns.zone", "override_domain"}},
		{"incorrect response", problem("incorrectResponse", ""), ports, []string{"somebody else answered"}},
		{"a proxy that ends TLS", problem("tls", "no ALPN"), ports, []string{"pass TLS through to :443"}},
		{"no address", problem("dns", "NXDOMAIN looking up A for mx.example.com"), ports, []string{"A and AAAA records", "NXDOMAIN"}},
		{"CAA", problem("caa", "CAA record prevents issuance"), ports, []string{"CAA record in the DNS forbids", "another issuer"}},
		{"rejected", problem("rejectedIdentifier", "Domain name needs at least one dot"), ports, []string{"does not certify " + host, "at least one dot"}},
		{"limit", problem("rateLimited", "too many certificates"), ports, []string{"too many requests", "staging = true"}},
		{"limit by status", acmeproto.Problem{Type: "about:blank", Status: 429, Detail: "slow down"}, ports, []string{"too many requests", "slow down"}},
		{"external account", problem("externalAccountRequired", ""), ports, []string{"eab_key_id and eab_key"}},
		{"contact", problem("invalidContact", "no MX"), ports, []string{"change email", "no MX"}},
		{"terms", problem("userActionRequired", "read https://ca.example/terms"), ports, []string{"https://ca.example/terms"}},
		{"nonce", problem("badNonce", ""), ports, []string{"will be asked again"}},
		{"new kind", problem("brandNew", "never seen"), ports, []string{"refused (brandNew): never seen"}},
		{"no words at all", acmeproto.Problem{Type: "x", Status: 500}, ports, []string{"refused (x, HTTP status 500)"}},
		{"two parts", acmeproto.Problem{Type: acmeproto.ProblemTypeCompound, Detail: "some", Subproblems: []acmeproto.Subproblem{
			{Problem: acmeproto.Problem{Type: acmeproto.ProblemTypeCAA, Detail: "one"}, Identifier: acmeproto.Identifier{Type: "dns", Value: "a.example"}},
			{Problem: acmeproto.Problem{Type: acmeproto.ProblemTypeDNS, Detail: "two"}, Identifier: acmeproto.Identifier{Type: "dns", Value: "b.example"}},
		}}, ports, []string{"forbids this authority to certify a.example", "(the authority: one); ", "no record, of b.example"}},
		{"escape sequences", problem("malformed", "\x1b[31mred\r\nLine\u202e "+strings.Repeat("x", 1000)), ports, []string{"[31mred Line", "…"}},

		{"unreachable", refused(&url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}), ports,
			[]string{"letsencrypt cannot be reached", "refused", "connections to the internet"}},
		{"time-out", refused(&url.Error{Op: "Get", Err: timeoutError{}}), ports, []string{"letsencrypt does not answer"}},
		{"no such host", refused(&net.DNSError{Err: "no such host", Name: "ca.example"}), ports, []string{"its name ca.example was not found", "DNS of this machine"}},
		{"own root", refused(fmt.Errorf("tls: %w", x509.UnknownAuthorityError{})), ports, []string{"root_file"}},
		{"wrong host", refused(x509.HostnameError{Certificate: new(x509.Certificate), Host: "ca.example"}), ports, []string{"no certificate for ca.example", "directory"}},
		{"deadline", &failure{err: fmt.Errorf("%w: waiting", context.DeadlineExceeded), timeout: 5 * time.Minute}, ports, []string{"longer than 5m0s"}},

		{"full disk", &failure{err: errors.New("storage check"), store: &storeError{syscall.ENOSPC}}, ports, []string{"disk is full", "make room"}},
		{"broken store", &failure{err: errors.New("x"), store: &storeError{syscall.EIO}}, ports, []string{"the store failed", "input/output error"}},
		{"provider", refused(&zoneError{appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, errors.New("HTTP 403")}), zoned, []string{"dns.zone could not change the zone: HTTP 403"}},
		{"zone", errors.New(`could not determine zone for domain "_acme-challenge.mx.example.com": NXDOMAIN`), zoned, []string{"the zone of " + host + " was not found", "resolvers"}},
		{"propagation", errors.New("timed out waiting for record to fully propagate; verify"), zoned, []string{"did not appear in the DNS in time", "propagation_timeout"}},
		{"a private name", errors.New("subject 'localhost' does not qualify for a public certificate"), ports, []string{"set hostname"}},
		{"no common challenge", errors.New("no solvers available for remaining challenges"), ports, []string{"none of our challenges"}},
		{"no port", &failure{err: errors.New("aborted"), closed: []error{&closedDoor{http01, ":80", fs.ErrPermission}}}, ports, []string{"http-01: cannot listen on :80", "dns-01"}},
		{"no right to either", &failure{err: errors.New("aborted"), closed: []error{&closedDoor{http01, ":80", syscall.EACCES}, &closedDoor{tlsALPN01, ":443", syscall.EACCES}}}, ports,
			[]string{`CAP_NET_BIND_SERVICE), or set http_address = ":8080"`, `or set tls_alpn_address = ":8443", say, and lead the port there; or add a dns block`}},
		{"both ports taken", &failure{err: errors.New("aborted"), closed: []error{&closedDoor{http01, ":80", syscall.EADDRINUSE}, &closedDoor{tlsALPN01, ":443", syscall.EADDRINUSE}}}, ports,
			[]string{"let that hand /.well-known/acme-challenge/ on, and set http_address to where it does; tls-alpn-01", "let that pass connections with the protocol acme-tls/1 on, and set tls_alpn_address"}},
		{"one port", &failure{err: errors.New("x"), closed: []error{&closedDoor{http01, ":80", syscall.EADDRINUSE}}, refusals: []refusal{{"ca.example-dir", problem("connection", "443")}}}, ports,
			[]string{"could not connect", "besides, http-01: cannot listen on :80: address already in use"}},
		{"unknown", errors.New("something\nodd"), ports, []string{"something odd"}},
		{"nothing", refused(nil), ports, []string{"no reason given"}},
	} {
		got := explain(c.err, c.q)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q has no %q", c.name, got, want)
			}
		}
		if strings.ContainsFunc(got, appliance.IsControl) || len(got) > 1000 || strings.Contains(got, "order=") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
