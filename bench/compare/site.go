package compare

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/bench/peers"
)

// A site is a peer that runs, between the clients and the sink.
type site struct {
	peer    peers.Peer
	keys    *keys
	setup   peers.Setup
	box     *peers.Box
	server  peers.Server
	sink    *sink // nil while it is down
	dns     *nameServer
	started time.Duration // from the start of the peer until it listened
	scale   float64       // of the number of messages; 1 is all of them
	next    int           // number of the next message
}

// How a site differs from another one.
type siteOptions struct {
	login, sign, trace bool
	prepare            func(peers.Setup) error // before the peer is started; may be nil
	down               bool                    // the sink does not listen at first
}

// openSite starts a peer in a directory of its own.
func (r *run) openSite(p peers.Peer, o siteOptions) (_ *site, err error) {
	s := &site{peer: p, keys: r.keys, scale: r.scale(), next: 1}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", p.Name(), err), s.close())
		}
	}()
	if err := s.lay(r.dir, o); err != nil {
		return nil, err
	}
	r.current.Store(s)
	if o.prepare != nil {
		if err := o.prepare(s.setup); err != nil {
			return nil, err
		}
	}
	if o.down {
		s.bringDown()
	}
	began := time.Now()
	s.server, err = p.Start(s.box, s.setup)
	s.started = time.Since(began)
	return s, err
}

// lay makes everything that a peer finds when it is started.
func (s *site) lay(dir string, o siteOptions) (err error) {
	needs := peers.NeedsOf(s.peer)
	s.setup = peers.Setup{Sign: o.sign, Login: o.login, Keys: s.keys.Keys}
	if s.setup.Dir, err = newDir(dir, "peer-"); err != nil {
		return err
	}
	if s.setup.Address, err = appliancetest.FreeAddress(); err != nil {
		return err
	}
	if err := s.firstUp(needs.Port25); err != nil {
		return err
	}
	box := peers.BoxOptions{Name: s.peer.Name(), Trace: o.trace, SetUID: needs.SetUID}
	if box.Dir, err = newDir(dir, "box-"); err != nil {
		return err
	}
	if needs.DNS {
		if err := s.serveNames(&box); err != nil {
			return err
		}
	}
	s.box, err = peers.NewBox(box)
	return err
}

// newDir makes a directory that every user may enter.
func newDir(in, prefix string) (string, error) {
	dir, err := os.MkdirTemp(in, prefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// serveNames starts a name server that knows the next hop and has the box
// ask it.
func (s *site) serveNames(box *peers.BoxOptions) (err error) {
	record, err := s.keys.record()
	if err != nil {
		return err
	}
	hop, _, err := net.SplitHostPort(s.setup.NextHop)
	if err != nil {
		return err
	}
	if s.dns, err = serveNames(hop, record); err != nil {
		return err
	}
	s.setup.DNS = s.dns.address()
	host, _, err := net.SplitHostPort(s.setup.DNS)
	if err != nil {
		return err
	}
	box.Resolv = filepath.Join(box.Dir, "resolv.conf")
	return os.WriteFile(box.Resolv, []byte("nameserver "+host+"\n"), 0o644)
}

// sinks are the addresses on which port 25 is tried: another sink, or a mail
// server, may be there.
const sinks = 50

// firstUp finds an address for the sink.
func (s *site) firstUp(port25 bool) (err error) {
	s.setup.NextHop = "127.0.0.1:0"
	if !port25 {
		return s.bringUp()
	}
	for i := range sinks {
		s.setup.NextHop = fmt.Sprintf("127.0.3.%d:25", i+1)
		if err = s.bringUp(); err == nil {
			return nil
		}
	}
	return err
}

// bringUp lets the sink listen.
func (s *site) bringUp() (err error) {
	if s.sink, err = listenSink(s.setup.NextHop); err != nil {
		return err
	}
	s.sink.ledger.Store(newLedger(0, 0, nil))
	s.setup.NextHop = s.sink.address()
	return nil
}

func (s *site) bringDown() {
	if s.sink != nil {
		s.sink.close()
		s.sink = nil
	}
}

// login is how clients have to log in, nil for not at all.
func (s *site) login() *tls.Config {
	if s.setup.Login {
		return s.keys.trust
	}
	return nil
}

func (s *site) close() error {
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	if s.box != nil {
		errs = append(errs, s.box.Close())
	}
	s.bringDown()
	if s.dns != nil {
		errs = append(errs, s.dns.close())
	}
	if s.setup.Dir != "" {
		errs = append(errs, os.RemoveAll(s.setup.Dir))
	}
	return errors.Join(errs...)
}
