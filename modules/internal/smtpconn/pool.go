package smtpconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Config is what all connections of a pool have in common.
type Config struct {
	// Hello is the argument of EHLO: our host name.
	Hello string
	// RefuseSelf fails, permanently, when a server answers with our own name:
	// the message would come back to us.
	RefuseSelf bool
	// Configured says that it is our own configuration that names the servers:
	// if none of them can be used that is our mistake, logged, and temporary.
	Configured bool
	// LMTP is the protocol of local delivery instead of SMTP (RFC 2033): LHLO,
	// and after the content one reply for each recipient.
	LMTP bool
	// NoChunking sends every message by DATA, also to servers that offer
	// CHUNKING.
	NoChunking bool
	// Login authenticates every connection; nil does not.
	Login *Login
	// TLS has the roots of certificates that are to be verified; nil is those
	// of the system. Names are set for each connection.
	TLS *tls.Config
	// Observe is told what each new connection has shown of a server's TLS; nil
	// is nobody. It is called during the attempt, with a context that descends
	// from that of Deliver, and returns at once.
	Observe func(context.Context, TLSReport)
	// ClientCertificate returns what a server is shown that asks for a
	// certificate, at each handshake anew; nil shows none.
	ClientCertificate func() *tls.Certificate
	// Dial opens TCP connections; nil is that of a [net.Dialer]. An error
	// that carries a *appliance.Reply is the outcome.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// DialFrom is Dial for a target with a Source; nil is that of a
	// [net.Dialer].
	DialFrom func(ctx context.Context, from netip.Addr, network, address string) (net.Conn, error)
	// Blames says that an answer is about Target.Source, the address of ours, and
	// not about the message or who it is for: it is then offered to the next
	// targets with another Source, in the same attempt. nil is none.
	Blames func(*appliance.Result) bool
	// ObserveSource is told what a server thinks of a Target.Source: welcome is
	// that it has taken a message, and not that it has said what Blames is about.
	// It is called like Observe; nil is nobody.
	ObserveSource func(ctx context.Context, t Target, welcome bool)
	Timeouts      Timeouts
	// Idle is how long an unused connection is kept. Default 20s: shorter
	// than servers wait, so that it is we who hang up.
	Idle time.Duration
	// MaxIdle bounds the unused connections. Default 100.
	MaxIdle int
	// MaxMessages bounds the messages of one connection. Default 100.
	MaxMessages int
	Log         *zap.Logger
	Metrics     prometheus.Registerer
}

// hello is the command that begins a session.
func (c *Config) hello() string {
	if c.LMTP {
		return "LHLO"
	}
	return "EHLO"
}

// A Pool opens connections, keeps them for a while when they are not used,
// and delivers over them. It has goroutines of its own only for connections
// that are idle or being closed; [Pool.Stop] joins them.
type Pool struct {
	cfg            Config
	tls            *tls.Config
	log            *zap.Logger
	opened, reused prometheus.Counter
	shunned        shunned
	unchunked      unchunked
	unasked        sync.Once // says that a server does not want our certificate

	mu      sync.Mutex
	stopped bool
	idle    map[Target][]*idler // the one used last stands last
	nIdle   int
	work    sync.WaitGroup // deliveries, idlers and farewells

	life context.Context // of every connection
	cut  context.CancelFunc
}

// NewPool returns a pool that has no connections yet.
func NewPool(cfg Config) *Pool {
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	cfg.Idle = cmp.Or(cfg.Idle, 20*time.Second)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 100)
	cfg.MaxMessages = cmp.Or(cfg.MaxMessages, 100)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.DialFrom == nil {
		cfg.DialFrom = dialFrom
	}
	p := &Pool{cfg: cfg, log: cfg.Log, idle: map[Target][]*idler{}}
	if p.log == nil {
		p.log = zap.NewNop()
	}
	p.life, p.cut = context.WithCancel(context.Background())
	p.tls = &tls.Config{}
	if cfg.TLS != nil {
		p.tls = cfg.TLS.Clone()
	}
	p.tls.MinVersion = tls.VersionTLS12
	if cfg.ClientCertificate == nil {
		// A session that is resumed is still that of the certificate it began
		// with: whoever has one gets a handshake each time.
		p.tls.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	}
	p.measure(cfg.Metrics)
	return p
}

func dialFrom(ctx context.Context, from netip.Addr, network, address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return d.DialContext(ctx, network, address)
}

func (p *Pool) measure(reg prometheus.Registerer) {
	p.opened = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_relay_connections_opened_total", Help: "Connections to next hops that were established.",
	})
	p.reused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_relay_connections_reused_total", Help: "Messages sent over a connection that was open already.",
	})
	idle := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waxwing_relay_connections_idle", Help: "Connections to next hops that wait for the next message.",
	}, func() float64 { p.mu.Lock(); defer p.mu.Unlock(); return float64(p.nIdle) })
	if reg != nil {
		reg.MustRegister(p.opened, p.reused, idle)
	}
}

// errStopped is the outcome of a delivery that comes too late.
var errStopped = appliance.NewReply(451, 3, 2, "Delivery was interrupted here and will be tried again")

// Stop closes all connections: idle ones at once and politely, those in use
// when their delivery is over, or when ctx ends. It returns when no goroutine
// of the pool is left. Deliveries that begin later fail temporarily.
func (p *Pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	for _, list := range p.idle {
		for _, i := range list {
			i.wake() // it sees that the pool has stopped and quits
		}
	}
	p.mu.Unlock()
	defer context.AfterFunc(ctx, p.cut)()
	p.work.Wait()
	p.cut()
	return nil
}

// enter begins a delivery. It fails after Stop.
func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.work.Add(1)
	}
	return !p.stopped
}

// over delivers over one connection to t, a kept one if there is one. The
// error is a *Failure: the server could not be used, and nothing has happened.
func (p *Pool) over(ctx context.Context, t Target, m *mail, todo []int, outcomes []outcome) error {
	began := time.Now()
	if c := p.take(t); c != nil {
		p.reused.Inc()
		c.log.note("on a connection that was open already")
		c.noteSource()
		err := c.deliver(ctx, m, todo, outcomes)
		if err == nil {
			c.blame(todo, outcomes)
			c.tell(ctx, began, todo, outcomes)
		}
		p.put(c)
		if err == nil {
			return nil
		}
		// It died in its sleep, which says nothing about the server.
		p.log.Debug("idle connection was closed by its server", zap.String("host", t.Name), zap.String("peer", c.peer))
	}
	c, err := p.dial(ctx, t)
	if err != nil {
		if ctx.Err() == nil && !asFailure(err).Stop {
			p.shunned.add(t, time.Now())
		}
		return err
	}
	p.shunned.remove(t)
	if err = c.deliver(ctx, m, todo, outcomes); err == nil {
		c.blame(todo, outcomes)
		c.tell(ctx, began, todo, outcomes)
	}
	p.put(c)
	return err
}

// put keeps a connection for the next message, or ends it.
func (p *Pool) put(c *conn) {
	if ce := p.log.Check(zap.DebugLevel, "SMTP dialogue"); ce != nil {
		ce.Write(zap.String("host", c.target.Name), zap.String("peer", c.peer), zap.Stringer("transcript", &c.log))
	}
	if c.broken {
		c.close()
		return
	}
	c.log.reset() // what follows is another attempt
	p.mu.Lock()
	defer p.mu.Unlock()
	// The caller is inside a delivery: work is not zero, and may be added to.
	if p.stopped || p.nIdle >= p.cfg.MaxIdle || c.transactions >= cmp.Or(c.target.MaxMessages, p.cfg.MaxMessages) {
		p.work.Go(func() { c.quit(p.life) })
		return
	}
	i := &idler{c: c, done: make(chan struct{})}
	i.arm(p.cfg.Idle)
	p.idle[c.target] = append(p.idle[c.target], i)
	p.nIdle++
	p.work.Go(i.watch)
}

// take returns a kept connection to t that is alive, or nil.
func (p *Pool) take(t Target) *conn {
	for {
		i := p.pop(t)
		if i == nil {
			return nil
		}
		i.wake()
		<-i.done
		if !i.c.broken {
			return i.c
		}
	}
}

func (p *Pool) pop(t Target) *idler {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[t]
	if len(list) == 0 {
		return nil
	}
	i := list[len(list)-1]
	i.taken = true
	p.remove(i)
	return i
}

// remove takes i off the list. p.mu is held.
func (p *Pool) remove(i *idler) bool {
	list := p.idle[i.c.target]
	for k := range list {
		if list[k] != i {
			continue
		}
		list = append(list[:k:k], list[k+1:]...)
		if p.nIdle--; len(list) == 0 {
			delete(p.idle, i.c.target)
		} else {
			p.idle[i.c.target] = list
		}
		return true
	}
	return false
}
