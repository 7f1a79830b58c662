// Package rfc2136 is dns "rfc2136": records are changed by dynamic updates
// (RFC 2136) at the primary name server of the zone, such as BIND, Knot or
// PowerDNS.
//
//	dns "rfc2136" "zone" {
//	  server   = "10.0.0.53"
//	  key_name = "acme."
//	  key      = env("TSIG_KEY")
//	}
//
// Updates are signed with a key that server and client share (TSIG, RFC 8945),
// and an answer counts only with a right signature of the same key. Everything
// goes over TCP, which every name server takes (RFC 7766): an update is not
// lost on the way, and never sent twice.
//
// All records of one call are one update, which the server carries out as a
// whole or not at all (RFC 2136, section 3.4). Records are added only where no
// CNAME is: the server would ignore them without a word (section 3.4.2.2), and
// a challenge would time out for no visible reason.
//
// What is to be deleted is looked up first, at the same server and with the
// same key, so that the caller learns what was there. A server that refuses to
// answer is told to delete what is named exactly. A record to delete that says
// no type stands for the common ones of a host: SOA, NS and the records of
// DNSSEC stay. GetRecords is not
// offered: it would need zone transfers, which servers do not allow to a key
// that adds records.
//
// A key for challenges alone needs no more than the right to change TXT
// records below _acme-challenge. In BIND:
//
//	update-policy { grant acme. name _acme-challenge.mail.example.com. TXT; };
//
// and in Knot:
//
//	acl:
//	  - id: acme
//	    key: acme.
//	    action: update
//	    update-type: TXT
//	    update-owner: name
//	    update-owner-match: equal
//	    update-owner-name: [_acme-challenge.mail]
package rfc2136

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindDNS,
		Name:    "rfc2136",
		Summary: "dynamic updates at a name server of one's own (BIND, Knot, PowerDNS), signed with TSIG",
		Example: `dns "rfc2136" "zone" {
  server   = "10.0.0.53"
  key_name = "acme."
  key      = env("TSIG_KEY")
}
`,
		New: func() appliance.Module { return New() },
	})
}

// RFC2136 is the block dns "rfc2136".
type RFC2136 struct {
	provider.Settings
	// The primary name server of the zone: "10.0.0.53", "ns1.example.com" or,
	// where its port is not 53, "10.0.0.53:5353".
	Server string `hcl:"server"`
	// The name of the key, as the name server has it: "acme.". The final dot
	// may be left out.
	KeyName string `hcl:"key_name"`
	// The key in base64, as tsig-keygen and keymgr print it. Take it from the
	// environment or a file: env("TSIG_KEY"), file("/run/secrets/tsig").
	Key appliance.Secret `hcl:"key"`
	// The algorithm of the key: "hmac-sha256", "hmac-sha224", "hmac-sha384" or
	// "hmac-sha512". Default "hmac-sha256".
	Algorithm string `hcl:"algorithm,optional"`
	// The zone to name in updates, such as "example.com", where the name server
	// knows another than the world does. Default: the zone of the record.
	Zone string `hcl:"zone,optional"`

	server   server
	resolver appliance.Resolver
	key      key
	zone     string
}

// Interface guards.
var (
	_ appliance.DNSProvider = (*RFC2136)(nil)
	_ appliance.Validator   = (*RFC2136)(nil)
	_ libdns.RecordSetter   = (*RFC2136)(nil)
)

// New returns an RFC2136 with the defaults.
func New() *RFC2136 {
	return &RFC2136{Settings: provider.Defaults(), Algorithm: "hmac-sha256"}
}

// algorithms are those of RFC 8945, section 6, that it does not advise
// against.
var algorithms = []string{"hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"}

// Validate implements appliance.Validator.
func (p *RFC2136) Validate() error {
	if err := p.Settings.Validate(); err != nil {
		return err
	}
	if _, err := parseServer(p.Server); err != nil {
		return &appliance.AttrError{Attr: "server", Msg: err.Error()}
	}
	if _, err := provider.Zone(p.KeyName); err != nil {
		return &appliance.AttrError{Attr: "key_name", Msg: `must be the name of the key at the name server, such as "acme."`, Err: err}
	}
	switch name := strings.ToLower(strings.TrimSuffix(p.Algorithm, ".")); {
	case strings.HasPrefix(name, "hmac-md5"), name == "hmac-sha1":
		return &appliance.AttrError{Attr: "algorithm", Msg: `is too weak (RFC 8945, section 6); make a new key for "hmac-sha256"`}
	case !slices.Contains(algorithms, name):
		return &appliance.AttrError{Attr: "algorithm", Msg: `must be "hmac-sha256", "hmac-sha224", "hmac-sha384" or "hmac-sha512"`}
	}
	if _, err := provider.Zone(p.Zone); p.Zone != "" && err != nil {
		return &appliance.AttrError{Attr: "zone", Msg: `must be a domain, such as "example.com"`, Err: err}
	}
	return nil
}

// Provision implements appliance.Module: it reads the key.
func (p *RFC2136) Provision(ctx *appliance.Context) (err error) {
	if p.server, err = parseServer(p.Server); err != nil {
		return &appliance.AttrError{Attr: "server", Msg: err.Error()}
	}
	text := strings.Join(strings.Fields(p.Key.Reveal()), "")
	if secret, err := base64.StdEncoding.DecodeString(text); err != nil || len(secret) == 0 {
		// The cause would show a part of the key.
		return &appliance.AttrError{Attr: "key", Msg: `is not base64; write what the name server has as the key's "secret"`}
	}
	name, err := provider.Zone(p.KeyName)
	if err != nil {
		return &appliance.AttrError{Attr: "key_name", Msg: "is no name", Err: err}
	}
	p.key = key{name: name, secret: appliance.NewSecret(text), algorithm: dns.Fqdn(strings.ToLower(p.Algorithm))}
	if p.Zone != "" {
		if p.zone, err = provider.Zone(p.Zone); err != nil {
			return &appliance.AttrError{Attr: "zone", Msg: "is no domain", Err: err}
		}
	}
	if p.resolver = ctx.Resolver; p.resolver == nil {
		p.resolver = net.DefaultResolver
	}
	return nil
}

// A server is where updates go.
type server struct {
	host string // a name or an IP address
	port string
}

func (s server) String() string { return net.JoinHostPort(s.host, s.port) }

func parseServer(text string) (server, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "53"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return server{}, fmt.Errorf(`%q has no port between 1 and 65535; write "10.0.0.53:5353"`, text)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return server{ip.String(), port}, nil
	}
	name, err := appliance.ParseDomain(strings.TrimSuffix(host, "."))
	if err != nil || strings.HasPrefix(name, "[") {
		return server{}, fmt.Errorf(`%q is not the name or the IP address of a name server; write "10.0.0.53" or "ns1.example.com"`, text)
	}
	return server{name, port}, nil
}

// AppendRecords implements libdns.RecordAppender. All records are added, or
// none.
func (p *RFC2136) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	zone, added, err := p.added(zone, recs)
	if err != nil || len(added) == 0 {
		return nil, err
	}
	u := new(dns.Msg).SetUpdate(zone)
	if err := insert(u, added); err != nil {
		return nil, err
	}
	return p.apply(ctx, u, added)
}

// SetRecords implements libdns.RecordSetter. It is atomic.
func (p *RFC2136) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	zone, all, err := p.added(zone, recs)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	u := new(dns.Msg).SetUpdate(zone)
	var old []dns.RR
	for i, r := range all {
		if slices.IndexFunc(all, func(o provider.Record) bool { return o.FQDN == r.FQDN && o.Type == r.Type }) == i {
			old = append(old, &dns.ANY{Hdr: dns.RR_Header{Name: r.FQDN, Rrtype: dns.StringToType[r.Type]}})
		}
	}
	u.RemoveRRset(old)
	if err := insert(u, all); err != nil {
		return nil, err
	}
	return p.apply(ctx, u, all)
}

// added completes the records and their zone.
func (p *RFC2136) added(zone string, recs []libdns.Record) (string, []provider.Record, error) {
	all, err := provider.Added(zone, recs)
	if err != nil {
		return "", nil, err
	}
	zone, err = p.updated(zone, all)
	return zone, all, err
}

// updated is the zone that an update of the records names.
func (p *RFC2136) updated(zone string, all []provider.Record) (string, error) {
	zone, err := provider.Zone(cmp.Or(p.zone, zone))
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if !dns.IsSubDomain(zone, r.FQDN) {
			return "", fmt.Errorf("%s is not in the zone %s, which this dns block is for", r.FQDN, zone)
		}
	}
	return zone, nil
}

// insert adds the records to an update, on the condition that there is no
// CNAME in the place of one that is none itself.
func insert(u *dns.Msg, added []provider.Record) error {
	var rrs, free []dns.RR
	for _, r := range added {
		rr, err := wire(r)
		if err != nil {
			return err
		}
		rrs = append(rrs, rr)
		if r.Type != "CNAME" {
			free = append(free, &dns.ANY{Hdr: dns.RR_Header{Name: r.FQDN, Rrtype: dns.TypeCNAME}})
		}
	}
	u.RRsetNotUsed(free)
	u.Insert(rrs)
	return nil
}

func (p *RFC2136) apply(ctx context.Context, u *dns.Msg, records []provider.Record) ([]libdns.Record, error) {
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	if _, err := p.exchange(ctx, u); err != nil {
		return nil, err
	}
	return provider.Typed(records), nil
}

// DeleteRecords implements libdns.RecordDeleter. All records are deleted, or
// none.
func (p *RFC2136) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	wanted, err := provider.Complete(zone, recs)
	if err != nil {
		return nil, err
	}
	if zone, err = p.updated(zone, wanted); err != nil {
		return nil, err
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	gone, err := p.matching(ctx, zone, wanted)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	var rrs []dns.RR
	for _, r := range gone {
		rr, err := wire(r)
		if err != nil {
			return nil, err
		}
		rrs = append(rrs, rr)
	}
	u := new(dns.Msg).SetUpdate(zone)
	u.Remove(rrs)
	return p.apply(ctx, u, gone)
}
