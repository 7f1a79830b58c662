package smarthost

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// The values of Smarthost.Authenticate.
const (
	withPassword = "password"
	external     = "external"
)

// validateLogin checks what we log in with, and keeps passwords out of plain
// text.
func (s *Smarthost) validateLogin(hosts []endpoint) error {
	switch s.Authenticate {
	case "":
	case withPassword:
		if s.Username == "" {
			return &appliance.AttrError{Attr: "authenticate", Msg: `is "password", but there is none; write username and password as well`}
		}
	case external:
		return s.validateExternal()
	default:
		return &appliance.AttrError{Attr: "authenticate", Msg: `must be "password" or "external"`}
	}
	switch {
	case s.Username == "" && s.Password.IsSet():
		return &appliance.AttrError{Attr: "password", Msg: "needs a username"}
	case s.Username != "" && s.Password.Reveal() == "" && s.HasClientCertificate():
		return &appliance.AttrError{Attr: "username", Msg: `needs a password that is not empty, or authenticate = "external" to log in with client_certificate`}
	case s.Username != "" && s.Password.Reveal() == "":
		return &appliance.AttrError{Attr: "username", Msg: `needs a password that is not empty, such as password = env("SMARTHOST_PASSWORD")`}
	case s.Username == "":
		return nil
	}
	if err := s.validateUsername(); err != nil {
		return err
	}
	for _, h := range hosts {
		switch h.tls {
		case smtpconn.TLSOpportunistic:
			return &appliance.AttrError{Attr: "tls", Msg: `"opportunistic" could send the password in plain text; write "verified", "implicit" or "required"`}
		case smtpconn.TLSNone:
			if !h.local() {
				return &appliance.AttrError{Attr: "tls", Msg: `"none" would send the password in plain text; write "verified", "implicit" or "required"`}
			}
		}
	}
	return nil
}

func (s *Smarthost) validateExternal() error {
	switch {
	case !s.HasClientCertificate():
		return &appliance.AttrError{Attr: "authenticate", Msg: `is "external", which logs in with a client_certificate; write client_certificate and client_key as well`}
	case s.Password.IsSet():
		return &appliance.AttrError{Attr: "password", Msg: `is not used with authenticate = "external"; leave one of them out`}
	}
	return s.validateUsername()
}

func (s *Smarthost) validateUsername() error {
	if strings.ContainsAny(s.Username, "\x00\r\n") {
		return &appliance.AttrError{Attr: "username", Msg: "must not have line breaks or NULs"}
	}
	return nil
}

// validateCertificate wants TLS where there is a certificate to show: without,
// the smarthost would not know us, and might bounce what it should relay.
func (s *Smarthost) validateCertificate(hosts []endpoint) error {
	if err := s.ClientSettings.Validate(); err != nil || !s.HasClientCertificate() {
		return err
	}
	for _, h := range hosts {
		if h.tls == smtpconn.TLSOpportunistic || h.tls == smtpconn.TLSNone {
			return &appliance.AttrError{Attr: "tls", Msg: fmt.Sprintf(`%q could send mail without showing client_certificate; write "verified", "implicit" or "required"`, h.tls)}
		}
	}
	return nil
}

// login is what every connection logs in with, or nil.
func (s *Smarthost) login() *smtpconn.Login {
	switch {
	case s.Authenticate == external:
		return &smtpconn.Login{Username: s.Username, External: true}
	case s.Username == "":
		return nil
	}
	inClear := true
	for _, h := range s.hosts {
		inClear = inClear && h.local() && h.tls == smtpconn.TLSNone
	}
	return &smtpconn.Login{Username: s.Username, Password: s.Password, InClear: inClear}
}

// maxCAFile bounds ca_file, in octets: all authorities of a system have some
// hundred kilobytes.
const maxCAFile = 16 << 20

// authorities reads ca_file. One that cannot be read is an error here, and
// never a certificate that is not verified later.
func (s *Smarthost) authorities() (*tls.Config, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	pem, err := localfile.Read(s.CAFile, maxCAFile)
	if err != nil {
		return nil, &appliance.AttrError{Attr: "ca_file", Msg: "cannot be read", Err: err}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, &appliance.AttrError{Attr: "ca_file", Msg: "has no certificate in PEM; it should begin with -----BEGIN CERTIFICATE-----"}
	}
	return &tls.Config{RootCAs: roots}, nil
}
