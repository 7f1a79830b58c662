package dnstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A Resolver is a running resolver that validates.
type Resolver struct {
	Addr string  // "127.0.0.1:5353", UDP and TCP
	Auth *Server // where it has everything from
}

// Unbound starts a resolver for the zones and the server that has them, and
// stops both when the test ends. It knows the keys of the zones that are
// Signed or Expired: answers from the first have the AD bit, from the second
// there is SERVFAIL. A zone inside another can be bogus while the rest of it
// is not: {"_25._tcp.mx.good.test.", `@ TLSA 3 1 1 …`, dnstest.Expired}. The
// root is a signed zone too: what is in none of the zones certainly does not
// exist. Nothing is kept from one question to the next, so that
// [Resolver.Set] is seen at once. Without unbound, or without knotd, the test
// is skipped, and fails in CI.
func Unbound(t testing.TB, zones ...Zone) *Resolver {
	t.Helper()
	program := need(t, "unbound", "unbound")
	zones = append(slices.Clone(zones), Zone{Name: ".", DNSSEC: Signed})
	r := &Resolver{Auth: Knot(t, zones...)}
	var err error
	for range attempts {
		if err = r.start(t, program, zones); err == nil {
			return r
		}
	}
	t.Fatal(err)
	return nil
}

func (r *Resolver) start(t testing.TB, program string, zones []Zone) error {
	t.Helper()
	port, err := freePort()
	if err != nil {
		return err
	}
	r.Addr = loopback(port)
	dir, err := tempDir(t, "unbound")
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(conf, []byte(r.config(dir, port, zones)), 0o600); err != nil {
		return err
	}
	return run(t, func(ctx context.Context) error { return r.ready(ctx, zones) }, program, "-d", "-c", conf)
}

// unboundConfig makes a server that asks nobody but the one on loopback.
const unboundConfig = `
server:
    directory: %[1]q
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    verbosity: 1
    val-log-level: 2
    interface: 127.0.0.1@%[2]d
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-not-query-localhost: no
    module-config: "validator iterator"
    num-threads: 1
    msg-cache-size: 1m
    rrset-cache-size: 1m
    cache-max-ttl: 0
    cache-max-negative-ttl: 0
    key-cache-size: 1m
    local-zone: "test." nodefault
    ede: yes
`

func (r *Resolver) config(dir string, port int, zones []Zone) string {
	conf := fmt.Sprintf(unboundConfig, dir, port)
	for _, z := range zones {
		if anchor, ok := r.Auth.anchors[z.Name]; ok {
			conf += fmt.Sprintf("    trust-anchor: %q\n", anchor)
		}
	}
	for _, z := range zones {
		conf += fmt.Sprintf("stub-zone:\n    name: %q\n    stub-addr: %s\n", z.Name, strings.Replace(r.Auth.Addr, ":", "@", 1))
	}
	return conf + "remote-control:\n    control-enable: no\n"
}

// ready waits until the resolver says of each zone what it should.
func (r *Resolver) ready(ctx context.Context, zones []Zone) error {
	for _, z := range zones {
		if err := poll(ctx, func(ctx context.Context) error { return r.probe(ctx, z) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *Resolver) probe(ctx context.Context, z Zone) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	q := new(dns.Msg).SetQuestion(z.Name, dns.TypeSOA)
	q.AuthenticatedData = true
	reply, _, err := new(dns.Client).ExchangeContext(ctx, q, r.Addr)
	if err != nil {
		return err
	}
	want := dns.RcodeSuccess
	if z.DNSSEC == Expired {
		want = dns.RcodeServerFailure
	}
	if reply.Rcode != want || reply.AuthenticatedData != (z.DNSSEC == Signed) {
		return fmt.Errorf("%s: %s, AD %t", z.Name, dns.RcodeToString[reply.Rcode], reply.AuthenticatedData)
	}
	return nil
}

// Set gives the records of a name and type in place of those that are there:
//
//	r.Set(t, "_25._tcp.mx.signed.test.", "TLSA", "3 1 1 …", "2 1 1 …")
//
// Without records there are none any more. The zone must not be Expired.
func (r *Resolver) Set(t testing.TB, name, typ string, records ...string) {
	t.Helper()
	if err := r.set(dns.Fqdn(name), typ, records); err != nil {
		t.Fatalf("%s %s: %v", name, typ, err)
	}
}

func (r *Resolver) set(name, typ string, records []string) error {
	zone, err := r.zoneOf(name)
	if err != nil {
		return err
	}
	update := new(dns.Msg).SetUpdate(zone)
	kind, ok := dns.StringToType[typ]
	if !ok {
		return errors.New("no such type of record")
	}
	update.RemoveRRset([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: kind}}})
	for _, text := range records {
		rr, err := dns.NewRR(fmt.Sprintf("%s 5 IN %s %s", name, typ, text))
		if err != nil {
			return err
		}
		update.Insert([]dns.RR{rr})
	}
	update.SetTsig(r.Auth.KeyName, dns.HmacSHA256, 300, time.Now().Unix())
	c := &dns.Client{Net: "tcp", TsigSecret: map[string]string{r.Auth.KeyName: r.Auth.Key}, Timeout: 10 * time.Second}
	reply, _, err := c.Exchange(update, r.Auth.Addr)
	if err == nil && reply.Rcode != dns.RcodeSuccess {
		err = errors.New(dns.RcodeToString[reply.Rcode])
	}
	return err
}

// zoneOf asks where the zone of a name begins.
func (r *Resolver) zoneOf(name string) (string, error) {
	c := dns.Client{Timeout: 10 * time.Second}
	reply, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeSOA), r.Auth.Addr)
	if err != nil {
		return "", err
	}
	for _, rr := range append(reply.Answer, reply.Ns...) {
		if rr.Header().Rrtype == dns.TypeSOA {
			return rr.Header().Name, nil
		}
	}
	return "", errors.New("it is in none of the zones")
}
