package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// ClientSettings are the attributes of a relay that shows servers a
// certificate of its own. A module embeds them.
type ClientSettings struct {
	// A PEM file with the certificate, and the intermediate certificates
	// behind it, that is shown to servers that ask for one. It needs client_key
	// beside it. Both are read again when they change, for new connections.
	// Default: none is shown.
	ClientCertificate string `hcl:"client_certificate,optional"`
	// The PEM file of the private key of client_certificate.
	ClientKey string `hcl:"client_key,optional"`
}

// HasClientCertificate says whether there is a certificate to show.
func (s *ClientSettings) HasClientCertificate() bool { return s.ClientCertificate != "" }

// Validate checks the settings. The error is an [appliance.AttrError].
func (s *ClientSettings) Validate() error {
	switch {
	case s.ClientCertificate == "" && s.ClientKey != "":
		return &appliance.AttrError{Attr: "client_key", Msg: "has no certificate beside it; write client_certificate as well"}
	case s.ClientCertificate != "" && s.ClientKey == "":
		return &appliance.AttrError{Attr: "client_certificate", Msg: "has no key beside it; write client_key as well"}
	}
	return nil
}

// OpenClientCertificate reads the certificate and returns a function that
// returns it as it is now, or nil if none is set. The error is an
// [appliance.AttrError]. The metrics show when the certificate expires.
func (s *ClientSettings) OpenClientCertificate(log *zap.Logger, metrics prometheus.Registerer) (func() *tls.Certificate, error) {
	if !s.HasClientCertificate() {
		return nil, nil
	}
	watched, err := localfile.Watch(log, func() (*tls.Certificate, error) { return s.load(log) }, s.ClientCertificate, s.ClientKey)
	if err != nil {
		return nil, err
	}
	return watched.Get, RegisterExpiry(metrics, func() []appliance.CertificateInfo {
		all := Describe([]*tls.Certificate{watched.Get()})
		if len(all[0].Names) == 0 { // as many certificates of persons and programs
			subject := watched.Get().Leaf.Subject
			all[0].Names = []string{strings.ToValidUTF8(cmp.Or(subject.CommonName, subject.String()), "?")}
		}
		return all
	})
}

func (s *ClientSettings) load(log *zap.Logger) (*tls.Certificate, error) {
	c, err := LoadPair(log, s.ClientCertificate, s.ClientKey)
	if e, ok := errors.AsType[*PairError](err); ok {
		return nil, &appliance.AttrError{Attr: "client_" + e.Part, Msg: "cannot be used", Err: e.Err}
	}
	if err == nil {
		Judge(log, s.ClientCertificate, c, x509.ExtKeyUsageClientAuth)
	}
	return c, err
}
