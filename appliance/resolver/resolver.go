// Package resolver is the way to the DNS: a stub resolver with a cache, for
// programs that look the same names up again and again and have to know what
// an answer is worth. A mail server bounces what certainly does not exist and
// waits for everything else, so the difference is the first thing it keeps:
//
//	records, NXDOMAIN, NODATA     are answers, and are kept for their TTL
//	SERVFAIL, REFUSED, a time-out,
//	a referral, nonsense          are not: nothing is known (IsTemporary)
//
// # Asking
//
// The servers are those of /etc/resolv.conf, which is read again when it
// changes, or those of the resolver setting. They are asked in turn, three
// rounds, the one that answered last first. A question goes over UDP, from a
// random port and with a random id, with EDNS (RFC 6891) and room for 1232
// octets; over TCP when the answer is cut off (RFC 7766), and also when
// something comes back that is not the answer: a forger cannot speak TCP.
//
// # Believing
//
// Of an answer only that is used which is reached from the question, through
// aliases (RFC 1034, section 3.6.2; DNAME as the CNAME that servers make of
// it). What else a server sends along, such as addresses of hosts or records of other
// names, counts for nothing. A record that cannot be read is left out; if that
// leaves none, nothing is known.
//
// An answer is secure if the administrator has said (setting dnssec) that the
// servers validate and that the way to them is safe, and each message on the
// way carried the AD bit (RFC 4035, section 3.2.3; RFC 6840, section 5.7).
// That a server is on loopback proves neither: the one in a container at
// 127.0.0.11 only passes on. The root is asked for once, which is signed; if the
// servers do not vouch even for that, [Resolver.DNSSEC] says so.
//
// # Keeping
//
// Records are kept for the smallest TTL on the way, at most a day; that there
// is none, as the SOA record says (RFC 2308, section 5), at most 15 minutes;
// that nothing is known, for 5 seconds (RFC 9520, section 3.2), so that a
// thousand messages to a broken domain are not a thousand questions. Those who
// ask the same at the same time share one question, and who gives up does not
// take the others along. Nothing is used after its time. The cache is bounded
// in octets; what was not used for longest leaves first.
//
// # Past the cache
//
// [Resolver.AskAuthority] asks each of the name servers that a name is
// delegated to, for those who have to know what a zone says now and whether
// its servers agree: a key must not sign before everybody can find it.
//
// # The hosts file
//
// Addresses in /etc/hosts come before the DNS, as container engines and
// administrators rely on, and are never secure. localhost is always this
// machine (RFC 6761, section 6.3). Names without a final dot are completed
// with the search list of /etc/resolv.conf by the methods of
// [appliance.Resolver]; Query takes every name as complete.
package resolver

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The files of the system.
const (
	resolvConf = "/etc/resolv.conf"
	hostsFile  = "/etc/hosts"
)

// Limits.
const (
	maxOutstanding = 256      // questions on their way to a server
	cacheSize      = 16 << 20 // octets, roughly
)

// A Resolver answers questions from its cache or asks for the answers. Its
// methods may be called from any goroutine.
type Resolver struct {
	log     *zap.Logger
	metrics *metrics
	slots   chan struct{} // one for each outstanding question
	hosts   *watched[*hosts]
	system  *watched[*servers]
	ask     asker           // to one server; tests put another there
	rounds  []time.Duration // for a try, in each round

	port uint16 // of the name servers of zones; tests have another than 53

	base   context.Context // of the flights
	end    context.CancelFunc
	joined sync.WaitGroup

	mu      sync.Mutex // for what follows
	set     settings
	proof   proof
	cache   *cache
	flights map[question]*flight
	closed  bool
}

// Interface guards.
var (
	_ appliance.StubResolver = (*Resolver)(nil)
	_ appliance.Querier      = (*Resolver)(nil)
	_ appliance.Authority    = (*Resolver)(nil)
)

// settings are those of the appliance that matter here.
type settings struct {
	named  *named // nil is what the system is set up for
	dnssec bool
}

// New returns a resolver that asks as the settings say. It starts nothing.
func New(c appliance.ResolverContext) appliance.StubResolver { return open(c, resolvConf, hostsFile) }

func open(c appliance.ResolverContext, conf, hostsPath string) *Resolver {
	r := &Resolver{
		log:     cmp.Or(c.Log, zap.NewNop()),
		metrics: newMetrics(c.Metrics),
		slots:   make(chan struct{}, maxOutstanding),
		hosts:   watch(hostsPath, maxHostsFile, parseHosts),
		system:  watch(conf, maxResolvConf, parseResolvConf),
		ask:     exchange,
		rounds:  rounds(),
		port:    53,
		cache:   newCache(cacheSize),
		flights: make(map[question]*flight),
		set:     settings{newNamed(c.Settings.Resolver), c.Settings.DNSSEC},
	}
	r.base, r.end = context.WithCancel(context.Background())
	return r
}

// Configure implements appliance.StubResolver. What the cache holds stays if
// the same servers are asked and are believed as before.
func (r *Resolver) Configure(s appliance.Settings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Resolver.String() == r.set.named.String() && s.DNSSEC == r.set.dnssec {
		return
	}
	r.set, r.proof = settings{newNamed(s.Resolver), s.DNSSEC}, proof{}
	r.cache = newCache(cacheSize)
	// Those who wait get what they asked for; who comes now asks the others.
	r.flights = make(map[question]*flight)
}

// Close implements appliance.StubResolver: it ends all questions and waits for them.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.joined.Wait()
	return nil
}

// Query implements appliance.Querier.
func (r *Resolver) Query(ctx context.Context, typ appliance.QueryType, name string) (appliance.DNSAnswer, error) {
	res := r.query(ctx, typ, name)
	return res.clone(name)
}

// query answers from the hosts file, the cache or the servers. Nobody may
// write to what it returns.
func (r *Resolver) query(ctx context.Context, typ appliance.QueryType, name string) result {
	q, err := newQuestion(typ, name)
	if err != nil {
		return result{err: err}
	}
	if res, ok := r.local(q); ok {
		return res
	}
	return r.share(ctx, q)
}
