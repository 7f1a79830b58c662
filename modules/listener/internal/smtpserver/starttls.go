package smtpserver

import (
	"context"
	"errors"
	"io"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// starttls implements RFC 3207. What the client sent in clear after the
// command has been refused by dispatch (CVE-2011-0411).
func (s *session) starttls(ctx context.Context, arg string) {
	switch {
	case arg != "":
		s.refuse(errNoArg)
	case s.info.TLS != nil:
		s.refuse(appliance.NewReply(503, 5, 1, "TLS is active already"))
	case s.srv.tls == nil:
		s.refuse(appliance.NewReply(502, 5, 1, "STARTTLS is not offered"))
	default:
		writePlain(s.wire.w, 220, "2.0.0 Ready to start TLS")
		s.startTLS(ctx)
	}
}

// startTLS makes the handshake. After a failed one nothing is said in clear.
//
// RFC 3207, section 4.2: "The server MUST discard any knowledge obtained from
// the client, such as the argument to the EHLO command, which was not obtained
// from the TLS negotiation itself."
func (s *session) startTLS(ctx context.Context) bool {
	state, err := s.wire.handshake(ctx, s.srv.tlsNow())
	if err != nil {
		s.closing = true
		s.tlsFailed(err)
		return false
	}
	s.endTransaction()
	s.greeted = false
	s.info.TLS, s.info.Hello, s.info.Extended, s.info.Identity = state, "", false, nil
	return true
}

func (s *session) tlsFailed(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, errDraining) {
		s.log.Debug("TLS handshake broken off", zap.Error(err))
		return
	}
	s.srv.metrics.tlsFailed.Inc()
	s.log.Warn("TLS handshake failed", zap.Error(err))
}
