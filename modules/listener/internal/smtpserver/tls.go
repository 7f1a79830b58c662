package smtpserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

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
	plain = s.set.TLS.To().ServerConfig(s.tlsUse())
	asking = plain.Clone()
	asking.ClientAuth = tls.RequestClientCert
	asking.SessionTicketsDisabled = true
	asking.VerifyPeerCertificate = checkSize
	return plain, asking
}

// maxClientChain bounds the certificates that a client shows, in octets. They
// are kept as long as the session, in memory ten times as large; crypto/tls
// takes 256 KiB of them from anybody. A long chain has ten.
const maxClientChain = 32 << 10

// checkSize is for [tls.Config].
func checkSize(raw [][]byte, _ [][]*x509.Certificate) error {
	total := 0
	for _, der := range raw {
		total += len(der)
	}
	if total > maxClientChain {
		return fmt.Errorf("the client shows certificates of %d octets, at most %d are taken", total, maxClientChain)
	}
	return nil
}

func (s *Server) tlsUse() appliance.TLSUse {
	use := appliance.TLSUse{Opportunistic: s.role.Opportunistic}
	if s.hostname != "" {
		use.Names = []string{s.hostname}
	}
	return use
}

// releaseTLS says that the configurations are not used any more.
func (s *Server) releaseTLS() {
	if s.tls == nil {
		return
	}
	if r, ok := s.set.TLS.To().(appliance.CertificateReleaser); ok {
		r.Release(s.tlsUse())
	}
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
