package smtpserver

import (
	"crypto/tls"

	"github.com/waxwing-mail/waxwing/appliance"
)

// tlsConfigs asks for the certificates; nil is no TLS. asking is the same for
// clients that may show a certificate.
//
// It verifies nothing of theirs: whether a certificate is any good is for the
// authenticators to say, at each AUTH, and a client that shows one nobody here
// knows may still log in with a password. It has no session tickets. What a
// ticket says of a client's certificate is as old as the ticket, and one that
// was had without a certificate, here before a reload or on another listener,
// must not be a way around being asked for it.
func (s *Server) tlsConfigs() (plain, asking *tls.Config) {
	if !s.set.TLS.IsSet() {
		return nil, nil
	}
	use := appliance.TLSUse{Opportunistic: s.role.Opportunistic}
	if s.hostname != "" {
		use.Names = []string{s.hostname}
	}
	plain = s.set.TLS.To().ServerConfig(use)
	asking = plain.Clone()
	asking.ClientAuth = tls.RequestClientCert
	asking.SessionTicketsDisabled = true
	return plain, asking
}

// tlsNow is the configuration of the next handshake. The pipeline decides,
// which a reload may replace while the listener stays.
func (s *Server) tlsNow() *tls.Config {
	config := s.tls
	s.with(func(p *appliance.Pipeline) {
		if s.role.Submission && p.TakesCertificates() {
			config = s.asking
		}
	})
	return config
}
