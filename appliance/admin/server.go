package admin

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a server.
const (
	maxConnections = 128
	maxHeader      = 32 << 10        // octets of a request header
	headTimeout    = 5 * time.Second // for the header of a request
	readTimeout    = 15 * time.Second
	writeTimeout   = 30 * time.Second
	messageTimeout = 5 * time.Minute // for a message, in or out
	idleTimeout    = time.Minute
)

// Options is what a [Server] shows and moves.
type Options struct {
	Appliance *appliance.Appliance
	// Reload reads the configuration again. With plan it changes nothing.
	Reload func(ctx context.Context, plan bool) (Reloaded, error)
	// Stop asks the program to end. It returns at once.
	Stop    func()
	Events  *Events
	Version Version
	Log     *zap.Logger
}

// A Server answers on one listening socket.
//
//	s := admin.New(options, token)  // or admin.NewMetrics
//	s.Start(listener)
//	s.Drain(ctx)                    // before the appliance stops: no more work for it
//	s.Stop(ctx)                     // after
type Server struct {
	opts  Options
	token atomic.Pointer[appliance.Secret]
	http  *http.Server
	tcp   bool

	served   sync.WaitGroup
	draining chan struct{}
	drain    sync.Once
	gate     sync.RWMutex // held for reading by requests that use the store

	examining sync.Mutex // held by a check-up
	cut       context.CancelFunc
	listener  net.Listener
}

// New returns the server of the whole API. token is what requests over TCP
// must carry.
func New(o Options, token appliance.Secret) *Server {
	s := newServer(o)
	s.SetToken(token)
	mux := s.mux(append(s.observation(), s.api()...))
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := s.refuse(r, s.tcp); err != nil {
			writeError(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return s
}

// NewMetrics returns the server of metrics.address: /livez, /readyz and
// /metrics, for anyone who can connect, and nothing else.
func NewMetrics(o Options) *Server {
	s := newServer(o)
	mux := s.mux(s.observation())
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Header.Get("Origin") != "" || !cleanPath(r) {
			writeError(w, notFound())
			return
		}
		mux.ServeHTTP(w, r)
	})
	return s
}

func newServer(o Options) *Server {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Events == nil {
		o.Events = new(Events)
	}
	s := &Server{opts: o, draining: make(chan struct{})}
	ctx, cut := context.WithCancel(context.Background())
	s.cut = cut
	s.http = &http.Server{
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          warnings(o.Log),
	}
	return s
}

// mux serves the routes, and nothing at any other path.
func (s *Server) mux(routes []route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.Handle(rt.pattern, s.serve(rt))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeError(w, notFound()) })
	return mux
}

// warnings is where net/http tells of panics and of connections that it cannot
// accept.
func warnings(l *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(l, zap.WarnLevel)
	if err != nil {
		panic(err) // there is such a level
	}
	return std
}

// SetToken exchanges the token.
func (s *Server) SetToken(token appliance.Secret) { s.token.Store(&token) }

// Start serves on l until Stop, which closes it.
func (s *Server) Start(l net.Listener) {
	s.listener, s.tcp = l, !isUnix(l)
	s.served.Go(func() {
		err := s.http.Serve(netutil.LimitListener(l, maxConnections))
		if !errors.Is(err, http.ErrServerClosed) {
			s.opts.Log.Error("the admin server ended", zap.Error(err))
		}
	})
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Drain ends the live views, lets requests that use the store finish until
// ctx ends, and answers further ones with 503. /readyz, /livez and /metrics go on.
func (s *Server) Drain(ctx context.Context) {
	s.drain.Do(func() { close(s.draining) })
	empty := make(chan struct{})
	go func() {
		s.gate.Lock()
		defer s.gate.Unlock()
		close(empty)
	}()
	select {
	case <-empty:
	case <-ctx.Done():
		s.cut()
		<-empty
	}
}

// Stop drains, closes the socket and returns when nothing runs any more.
func (s *Server) Stop(ctx context.Context) error {
	s.Drain(ctx)
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.cut()
	s.served.Wait()
	return err
}

// enter lets a request use the store, or not any more.
func (s *Server) enter() (leave func(), err error) {
	s.gate.RLock()
	select {
	case <-s.draining:
		s.gate.RUnlock()
		return nil, &Error{Status: http.StatusServiceUnavailable, Message: "the server is stopping"}
	default:
		return s.gate.RUnlock, nil
	}
}

// serve makes a handler of a route.
func (s *Server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := s.limit(rt)
		if err := rt.admit(r, limit); err != nil {
			if err.Status == http.StatusMethodNotAllowed {
				w.Header().Set("Allow", strings.Join(rt.allowed(), ", "))
			}
			writeError(w, err)
			return
		}
		setWriteDeadline(w, writeTimeout)
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		if err := rt.handle(w, r); err != nil {
			writeError(w, err)
		}
	})
}

// allowMessage gives a request the time that a message takes, to be read and
// to be dealt with, and returns when that is over.
func allowMessage(w http.ResponseWriter) (deadline time.Time) {
	deadline = time.Now().Add(messageTimeout)
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // as setWriteDeadline
	setWriteDeadline(w, messageTimeout+writeTimeout)
	return deadline
}

// setWriteDeadline bounds what is written from now on. A connection that
// knows no deadline is a test's.
func setWriteDeadline(w http.ResponseWriter, d time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}
