// Package certs is what modules that have certificates share: the configuration
// of a TLS server whose certificates change, the choice among several of them,
// the certificate that a relay shows, reading both from files, what there is to
// tell about a certificate, and the metric of its expiry.
package certs

import (
	"crypto/tls"
	"errors"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Settings are the attributes that all tls modules have in common. A module
// embeds them.
type Settings struct {
	// What clients must be capable of, by the names of Mozilla's profiles:
	// "intermediate", TLS 1.2 and 1.3 with the cipher suites that are without
	// reproach, or "modern", TLS 1.3 alone. Default "intermediate", and on port
	// 25 the older suites of TLS 1.2 too: a server that has no other would send
	// in plain text.
	Profile string `hcl:"profile,optional"`
}

// The profiles, as in Mozilla's "Server Side TLS" guidelines 5.7.
const (
	Modern       = "modern"
	Intermediate = "intermediate"
)

// Validate checks the settings. The error is an [appliance.AttrError].
func (s *Settings) Validate() error {
	switch s.Profile {
	case "", Modern, Intermediate:
		return nil
	}
	return &appliance.AttrError{Attr: "profile", Msg: `must be "intermediate" or "modern"`}
}

// intermediate are the cipher suites of TLS 1.2 in Mozilla's profile, as far
// as crypto/tls has them: forward secrecy and authenticated encryption.
var intermediate = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// ServerConfig is the configuration of a TLS server: no application protocol,
// since SMTP has none, and for each handshake the best of the certificates
// that current returns then.
func (s *Settings) ServerConfig(use appliance.TLSUse, current func() []*tls.Certificate) *tls.Config {
	c := &tls.Config{
		// RFC 8996: TLS 1.0 and TLS 1.1 MUST NOT be used.
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           intermediate,
		SessionTicketsDisabled: use.Opportunistic,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return choose(current(), hello)
		},
	}
	switch {
	case s.Profile == Modern:
		c.MinVersion = tls.VersionTLS13
	case s.Profile == "" && use.Opportunistic:
		c.CipherSuites = nil // the defaults of crypto/tls, none of them broken
	}
	return c
}

// choose returns the first certificate for the name that the client asks for;
// failing that, the first that the client can use at all: most mail servers
// ask for no name, and many that ask do not verify it (RFC 7672, section 2.2).
func choose(list []*tls.Certificate, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(list) == 0 {
		return nil, errors.New("no certificate yet")
	}
	for _, c := range list {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, c := range list {
		if nameless.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return list[0], nil // crypto/tls has the words for what does not fit
}
