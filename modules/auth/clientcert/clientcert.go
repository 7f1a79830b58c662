// Package clientcert is the authenticator auth "client_cert": clients log in
// with a certificate instead of a password, by SASL EXTERNAL (RFC 4422,
// appendix A). Printers, backup machines and applications need no secret that
// somebody could read out of a configuration, guess or phish.
//
//	auth "client_cert" "machines" {
//	  ca_file = "/etc/waxwing/clients-ca.pem"
//	  user "scanner@example.com" {
//	    fingerprints = ["SHA256:1E:BC:6C:F2:00:FA:47:EC:38:56:9A:31:CC:CA:07:EC:59:EC:28:59:3C:27:21:FD:E7:E3:7E:CF:12:2B:83:59"]
//	  }
//	}
//
// A certificate that an authority of ca_file has issued logs in as the user
// that it names, in the field user_from. A certificate whose fingerprint stands
// in a user block logs in as that user, whoever issued it: a self-signed one
// will do. The block goes before the field.
//
// An authority with a certificate and key for the user "printer" is made with
// openssl 3 like this; the last command prints what a user block takes:
//
//	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Example client CA" -keyout ca.key -out clients-ca.pem
//	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=printer" -addext extendedKeyUsage=clientAuth -keyout printer.key -out printer.csr
//	openssl x509 -req -in printer.csr -copy_extensions copy -CA clients-ca.pem -CAkey ca.key -days 825 -out printer.pem
//	openssl x509 -in printer.pem -noout -fingerprint -sha256
//
// The client shows the certificate in its TLS handshake and says AUTH
// EXTERNAL. msmtp does so with
//
//	auth          external
//	user          printer
//	tls_cert_file printer.pem
//	tls_key_file  printer.key
//
// and by hand it is "openssl s_client -starttls smtp -crlf -quiet -connect
// HOST:587 -cert printer.pem -key printer.key", then "EHLO x" and "AUTH
// EXTERNAL =". The SMTP client of Postfix has no EXTERNAL ("no mechanism
// available"), and neither has swaks: they need a password.
//
// # What is verified
//
// At each AUTH: that the certificate is in its time; if no user block names
// it, that a chain of valid certificates leads to one in ca_file, that it may
// be used by a TLS client (extended key usage clientAuth, or none at all: RFC
// 5280, section 4.2.1.12), and, with crl_file, that nobody in the chain has
// been revoked. That the client holds the key, its handshake has proved. The
// certificate of an authority is no client's: it logs in only if a user block
// names it.
//
// A client may name the user that it wants to be (the authorization identity);
// it is let in only if that is the user it is.
//
// # Failure
//
// A file that cannot be read, or has a mistake, stops the start. Files are
// read again when they change; if the new content is bad, what was read before
// stays in force and the log says why. A revocation list that has expired says
// nothing about today: until a new one is there, those that it would speak of
// get 454, and keep their mail. So do those whose issuer has no list in
// crl_file.
package clientcert

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
	"github.com/waxwing-mail/waxwing/modules/internal/passwd"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindAuth,
		Name:    "client_cert",
		Summary: "clients that show a certificate in the TLS handshake, without a password",
		Example: `auth "client_cert" "machines" {
  ca_file = "/etc/waxwing/clients-ca.pem"
  user "scanner@example.com" {
    fingerprints = ["SHA256:1E:BC:6C:F2:00:FA:47:EC:38:56:9A:31:CC:CA:07:EC:59:EC:28:59:3C:27:21:FD:E7:E3:7E:CF:12:2B:83:59"]
  }
}
`,
		New: func() appliance.Module { return new(ClientCert) },
	})
}

// ClientCert is the authenticator.
type ClientCert struct {
	// The PEM file of the authorities whose certificates log in: everybody who
	// has one of theirs is the user that it names. An authority of one's own,
	// not a public one. It is read again when it changes. May be left out if
	// there are user blocks.
	CAFile string `hcl:"ca_file,optional"`
	// The file of the certificates that these authorities have revoked: one or
	// several lists (CRL), as PEM or DER. It is read again when it changes.
	// Every authority needs a list in it, and a list that has expired lets
	// nobody in. Intermediate authorities must stand in ca_file too. Default:
	// nobody is revoked.
	CRLFile string `hcl:"crl_file,optional"`
	// Which field of a certificate is the user: "common_name" of its subject,
	// or "email" or "dns_name" of its subject alternative names. A certificate
	// must have exactly one of it. Default "common_name".
	UserFrom string `hcl:"user_from,optional"`
	// Certificates that are a user's by their fingerprints, whoever issued
	// them. The label is the user.
	Users []User `hcl:"user,block"`

	addr        appliance.Addr
	log         *zap.Logger
	pins        map[Fingerprint]string // to users
	authorities *localfile.Watched[*authorities]
}

// User is a user block.
type User struct {
	// Who logs in with these certificates.
	Name string `hcl:"name,label"`
	// The SHA-256 fingerprints of the certificates, at least one, as "openssl
	// x509 -in FILE -noout -fingerprint -sha256" prints them: "SHA256:" and 64
	// hexadecimal digits, with or without colons.
	Fingerprints []Fingerprint `hcl:"fingerprints"`
}

var (
	_ appliance.ExternalAuthenticator = (*ClientCert)(nil)
	_ appliance.Validator             = (*ClientCert)(nil)
)

// Validate implements appliance.Validator.
func (c *ClientCert) Validate() error {
	switch {
	case c.CAFile == "" && len(c.Users) == 0:
		return blame("ca_file", `is missing: nobody could log in; write ca_file = "/etc/waxwing/clients-ca.pem", or user blocks with fingerprints`)
	case c.CAFile == "" && c.CRLFile != "":
		return blame("crl_file", "needs ca_file beside it: only the lists of those authorities count")
	case c.CAFile == "" && c.UserFrom != "":
		return blame("user_from", "needs ca_file beside it: user blocks say themselves who the user is")
	}
	switch c.UserFrom {
	case "", commonName, email, dnsName:
	default:
		return blame("user_from", `must be "common_name", "email" or "dns_name"`)
	}
	_, err := c.pinned()
	return err
}

// pinned are the certificates of the user blocks.
func (c *ClientCert) pinned() (map[Fingerprint]string, error) {
	pins := make(map[Fingerprint]string)
	seen := make(map[string]bool)
	for _, u := range c.Users {
		if err := passwd.CheckName(u.Name); err != nil {
			return nil, blame("user", err.Error())
		}
		if seen[u.Name] {
			return nil, blame("user."+u.Name, "is declared twice; write all fingerprints in one block")
		}
		seen[u.Name] = true
		if len(u.Fingerprints) == 0 {
			return nil, blame("user."+u.Name+".fingerprints", `is empty; write fingerprints = ["SHA256:…"], as "openssl x509 -noout -fingerprint -sha256" prints them`)
		}
		for _, f := range u.Fingerprints {
			if other, ok := pins[f]; ok {
				return nil, blame("user."+u.Name+".fingerprints", fmt.Sprintf("%s stands with user %q already; a certificate is one user's", f, other))
			}
			pins[f] = u.Name
		}
	}
	return pins, nil
}

// Provision implements appliance.Module.
func (c *ClientCert) Provision(ctx *appliance.Context) (err error) {
	c.addr, c.log = ctx.Addr, ctx.Log
	if c.pins, err = c.pinned(); err != nil || c.CAFile == "" {
		return err
	}
	paths := []string{c.CAFile}
	if c.CRLFile != "" {
		paths = append(paths, c.CRLFile)
	}
	c.authorities, err = localfile.Watch(ctx.Log, c.load, paths...)
	return err
}

// Authenticate implements appliance.Authenticator: no password is right.
func (*ClientCert) Authenticate(context.Context, *appliance.Session, string, appliance.Secret) (appliance.Identity, error) {
	return appliance.Identity{}, appliance.ErrCredentials
}

// AuthenticateExternal implements appliance.ExternalAuthenticator.
func (c *ClientCert) AuthenticateExternal(_ context.Context, s *appliance.Session, user string) (appliance.Identity, error) {
	if s.TLS == nil || len(s.TLS.PeerCertificates) == 0 {
		return appliance.Identity{}, refusal("the client has shown no certificate")
	}
	leaf := s.TLS.PeerCertificates[0]
	name, err := c.userOf(s.TLS.PeerCertificates, time.Now())
	if err == nil && user != "" && user != name {
		// RFC 4422, section 3.4.1: to act as somebody else is a privilege that
		// nobody has here.
		err = refusal("user %q asks to be %q", name, user)
	}
	if err != nil {
		return appliance.Identity{}, fmt.Errorf("%w: certificate %s", err, describe(leaf))
	}
	c.log.Debug("certificate accepted", zap.String("session", s.ID), zap.String("user", name), zap.String("certificate", describe(leaf)))
	return appliance.Identity{User: name, By: c.addr}, nil
}

// userOf says whose certificate the first of a chain is.
func (c *ClientCert) userOf(chain []*x509.Certificate, now time.Time) (string, error) {
	leaf := chain[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return "", refusal("is valid from %s to %s", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	var known *authorities
	if c.authorities != nil {
		known = c.authorities.Get()
	}
	if name, ok := c.pins[fingerprintOf(leaf)]; ok {
		if known.revoked(leaf) {
			return "", errRevoked
		}
		return name, nil
	}
	if known == nil {
		return "", refusal("no user block has its fingerprint")
	}
	if err := known.verify(chain, now); err != nil {
		return "", err
	}
	return nameIn(leaf, c.UserFrom)
}

// describe tells certificates apart, in the log. What is in them is whatever
// their maker liked, a hundred kilobytes of it perhaps; RFC 5280, section
// 4.1.2.2: serial numbers are not "longer than 20 octets".
func describe(c *x509.Certificate) string {
	return fmt.Sprintf("%s, serial number %.20x, subject %.200q", fingerprintOf(c), c.SerialNumber.Bytes(), c.Subject.String())
}

// refusal is ErrCredentials with a reason for the log. Some reasons of x509
// quote the names and numbers of certificates, however long those are.
func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %.400s", appliance.ErrCredentials, fmt.Sprintf(format, args...))
}

func blame(attr, msg string) error { return &appliance.AttrError{Attr: attr, Msg: msg} }
