// Package certs is what the tls modules share: the configuration of a TLS
// server whose certificates change, the choice among several of them, and the
// metric of their expiry.
package certs

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ServerConfig is the configuration of a TLS server: TLS 1.2 and later, with
// the cipher suites that crypto/tls prefers, no application protocol, since
// SMTP has none, and for each handshake the best of the certificates that
// current returns then.
func ServerConfig(current func() []*tls.Certificate) *tls.Config {
	return &tls.Config{
		// RFC 8996: TLS 1.0 and TLS 1.1 MUST NOT be used.
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return choose(current(), hello)
		},
	}
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

// RegisterExpiry adds the time at which the first of the certificates expires
// to the metrics, in seconds of Unix time. A nil registerer is none.
func RegisterExpiry(r prometheus.Registerer, current func() []*tls.Certificate) error {
	if r == nil {
		return nil
	}
	return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waxwing_tls_certificate_not_after_seconds",
		Help: "Unix time at which the certificate that expires first does so.",
	}, func() float64 {
		if first := firstExpiry(current()); !first.IsZero() {
			return float64(first.Unix())
		}
		return 0
	}))
}

// firstExpiry is the time at which the first of the certificates expires, or
// zero. Each has its Leaf.
func firstExpiry(list []*tls.Certificate) (first time.Time) {
	for _, c := range list {
		if t := c.Leaf.NotAfter; first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}
