package smtpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Role is what one kind of listener is for, and no attribute of the file.
type Role struct {
	// Users hand in their mail here (RFC 6409): AUTH is offered under TLS, and
	// MAIL needs AUTH or a trusted network.
	Submission bool
	// TLS from the first octet on (RFC 8314, section 3).
	ImplicitTLS bool
	// Clients that cannot use TLS send in plain text: see [appliance.TLSUse].
	Opportunistic bool
	// How long to wait before the greeting for clients that cannot.
	GreetDelay time.Duration
}

// A Server is the part of a listener that runs. A listener embeds it, next to
// its [Settings], and calls Provision.
type Server struct {
	appliance.Attachment

	set      Settings
	role     Role
	ctx      *appliance.Context
	log      *zap.Logger
	metrics  *metrics
	networks []trusted
	hostname string // of this listener; "" is that of the pipeline

	tls    *tls.Config // nil: no TLS
	asking *tls.Config // tls for a pipeline that knows clients by their certificates
	door   door

	listener    net.Listener
	crowd       crowd
	messages    rater          // of clients that have not logged in
	accept      sync.WaitGroup // the accept loop
	sessions    sync.WaitGroup
	life        context.Context // ends when everything is cut
	cut         context.CancelFunc
	stopping    chan struct{} // closed when Stop begins
	stopOnce    sync.Once
	releaseOnce sync.Once
	close       func() error // takes no more connections

	second time.Duration // the unit of delays; tests shorten it
}

// Provision implements appliance.Module.
func (s *Server) Provision(ctx *appliance.Context, set Settings, role Role) error {
	if set.MaxConnections == 0 {
		set.MaxConnections = ctx.Limits.MaxConnections
	}
	if set.MaxConnectionsPerIP == 0 {
		set.MaxConnectionsPerIP = ctx.Limits.MaxConnectionsPerIP
	}
	var err error
	if s.networks, err = set.networks(); err != nil {
		return err
	}
	if s.hostname, err = set.hostname(); err != nil {
		return err
	}
	s.set, s.role, s.ctx, s.log = set, role, ctx, ctx.Log
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.metrics, err = newMetrics(ctx.Metrics); err != nil {
		return err
	}
	if s.second == 0 {
		s.second = time.Second
	}
	return nil
}

// Start implements appliance.Starter: it opens the socket and serves it.
func (s *Server) Start(context.Context) error {
	l, err := s.ctx.Listen(s.set.Address)
	if err != nil {
		return &appliance.AttrError{Attr: "address", Msg: "cannot listen there", Err: err}
	}
	s.serve(l)
	s.log.Info("listening", zap.Stringer("address", l.Addr()))
	s.with(func(p *appliance.Pipeline) {
		if s.role.Submission && p.CanAuthenticate() {
			s.mayLogin()
		}
	})
	s.warnOfGateway(os.DirFS("/"))
	return nil
}

func (s *Server) serve(l net.Listener) {
	s.listener = l
	s.tls, s.asking = s.tlsConfigs()
	s.life, s.cut = context.WithCancel(context.Background())
	s.stopping = make(chan struct{})
	s.close = sync.OnceValue(l.Close)
	s.crowd.maxTotal, s.crowd.maxPerIP = s.set.MaxConnections, s.set.MaxConnectionsPerIP
	s.crowd.maxPerUser = s.ctx.Limits.MaxConnectionsPerUser
	s.crowd.memory, s.crowd.rate.rate = s.ctx.Memory, s.ctx.Limits.ConnectionRatePerIP
	s.messages.rate = s.ctx.Limits.MessageRatePerIP
	s.accept.Go(s.acceptAll)
}

// Retire implements appliance.Retirer: new connections are for the instance
// that has replaced this one.
func (s *Server) Retire(ctx context.Context) {
	if s.close() != nil {
		return // Stop says why
	}
	s.accept.Wait()
	select {
	case <-s.gone():
	case <-ctx.Done():
	}
}

// Stop implements appliance.Starter. Clients that are not sending a message
// get 421 4.3.2 at once; messages under way finish until ctx ends, and then
// everything is cut. Stop returns when every goroutine has returned.
func (s *Server) Stop(ctx context.Context) error {
	if s.listener == nil {
		return nil // never started
	}
	err := s.close()
	s.stopOnce.Do(func() { close(s.stopping) })
	s.accept.Wait()
	s.crowd.each((*session).drain)
	gone := s.gone()
	select {
	case <-gone:
	case <-ctx.Done():
		s.cut()
		s.crowd.each((*session).abort)
		<-gone
	}
	s.cut()
	s.releaseOnce.Do(s.releaseTLS)
	return err
}

// gone is closed when there are no sessions any more.
func (s *Server) gone() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(gone)
	}()
	return gone
}

// Addrs implements appliance.Listener.
func (s *Server) Addrs() []net.Addr {
	if s.listener == nil {
		return nil
	}
	return []net.Addr{s.listener.Addr()}
}

// How long to wait after a failed accept, which is mostly a lack of file
// descriptors: longer each time.
const (
	minAcceptWait = 5 * time.Millisecond
	maxAcceptWait = time.Second
)

func (s *Server) acceptAll() {
	wait := minAcceptWait
	for {
		c, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.metrics.acceptFailed.Inc()
			s.log.Warn("cannot accept connections", zap.Error(err), zap.Duration("again_in", wait))
			if !s.pause(wait) {
				return
			}
			wait = min(2*wait, maxAcceptWait)
		default:
			wait = minAcceptWait
			s.admit(c)
		}
	}
}

// pause waits and says whether the server still runs.
func (s *Server) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stopping:
		return false
	}
}

// admit starts a session or, when there are too many, sends the client away.
func (s *Server) admit(c net.Conn) {
	trusted := s.trusts(addrPort(c.RemoteAddr()).Addr()) != ""
	sess, refused := s.crowd.enter(c, trusted, func() *session { return newSession(s, c) })
	if refused != nil {
		s.metrics.refused.WithLabelValues(refused.reason).Inc()
		s.turnAway(c, refused.reply)
		return
	}
	s.metrics.accepted.Inc()
	s.metrics.open.Inc()
	s.sessions.Go(func() {
		defer s.metrics.open.Dec()
		defer s.crowd.leave(sess)
		sess.serve(s.life)
	})
}

// turnAway says why, if it can be said without a TLS handshake. The few octets
// fit into the empty buffer of a new socket: the accept loop does not wait.
func (s *Server) turnAway(c net.Conn, reply *appliance.Reply) {
	if !s.role.ImplicitTLS {
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		w := bufio.NewWriter(c)
		writeReply(w, reply)
		_ = w.Flush()
	}
	_ = c.Close()
	s.log.Debug("connection refused", zap.Stringer("client", c.RemoteAddr()), zap.String("reply", reply.Text))
}

// trusts returns the entry of the trusted list that contains ip, or "".
func (s *Server) trusts(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	for _, n := range s.networks {
		if n.prefix.Contains(ip) {
			return n.entry
		}
	}
	return ""
}

// with calls f with the pipeline of now.
func (s *Server) with(f func(p *appliance.Pipeline)) {
	p, release := s.Acquire()
	defer release()
	f(p)
}
