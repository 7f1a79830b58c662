package smtpserver

import (
	"sync"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// errNotReady is what AUTH is answered until there is a certificate. RFC 4954,
// section 6: "454 4.7.0 Temporary authentication failure".
var errNotReady = appliance.NewReply(454, 7, 0, "No valid certificate for this server yet; try again in a few minutes")

// A door remembers what the log was last told of logging in, so that it is
// told of changes and not of clients.
type door struct {
	mu   sync.Mutex
	shut bool
}

// set says whether that is a change.
func (d *door) set(shut bool) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed = d.shut != shut
	d.shut = shut
	return changed
}

// mayLogin says whether the certificate is one that a client can trust with a
// password. Until it is, AUTH is announced and answered 454: a client that
// sees no AUTH takes that for the last word, and its user looks for the
// mistake in the account; one that gets 454 comes back.
func (s *Server) mayLogin() bool {
	if !s.set.TLS.IsSet() {
		return true // there is no AUTH without TLS
	}
	err := s.set.TLS.To().Ready()
	switch changed := s.door.set(err != nil); {
	case changed && err != nil:
		s.log.Warn("nobody can log in here until there is a certificate that clients can verify; AUTH is answered 454",
			zap.Stringer("tls", s.set.TLS), zap.Error(err))
	case changed:
		s.log.Info("there is a certificate; clients can log in", zap.Stringer("tls", s.set.TLS))
	}
	return err == nil
}
