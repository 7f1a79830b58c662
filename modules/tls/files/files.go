// Package files is tls "files": certificates that somebody else keeps fresh,
// such as certbot, cert-manager or a company's own authority.
//
//	tls "files" "own" {
//	  certificate = "/tls/fullchain.pem"
//	  key         = "/tls/privkey.pem"
//	}
//
// Several pairs, for several names or an RSA beside an ECDSA key, are written
// as pair blocks. A client gets the first that is valid for the name it asks
// for and that it can use; a client that asks for no name, or another, gets
// the first of all.
//
// The files are read again within a second or two of a change, in the middle
// of which they may be: until certificate and key fit each other, and whenever
// the new content is bad, the old certificate stays in use and the log says
// why. Sessions that are under way keep what they have. At the start a file
// that cannot be read, or a key that does not fit, is an error.
package files

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindTLS,
		Name:    "files",
		Summary: "certificates and keys in PEM files, read again when they change",
		Example: `tls "files" "own" {
  certificate = "/tls/fullchain.pem"
  key         = "/tls/privkey.pem"
}
`,
		New: func() appliance.Module { return new(Files) },
	})
}

// maxFile bounds a file; chains have some kilobytes.
const maxFile = 1 << 20

// Files is the module.
type Files struct {
	certs.Settings
	// The PEM file of the certificate and the intermediate certificates behind
	// it (certbot: fullchain.pem).
	Certificate string `hcl:"certificate,optional"`
	// The PEM file of its private key (certbot: privkey.pem).
	Key string `hcl:"key,optional"`
	// Further certificates, chosen by the name that a client asks for. The
	// first of all, in the order of the file, is the default.
	Pairs []Pair `hcl:"pair,block"`

	log      *zap.Logger
	hostname string
	current  *localfile.Watched[[]*tls.Certificate]
}

// Pair is a pair block.
type Pair struct {
	// The PEM file of the certificate and its intermediate certificates.
	Certificate string `hcl:"certificate"`
	// The PEM file of its private key.
	Key string `hcl:"key"`
}

var (
	_ appliance.Certificates = (*Files)(nil)
	_ appliance.Validator    = (*Files)(nil)
)

// Validate implements appliance.Validator.
func (f *Files) Validate() error {
	if err := f.Settings.Validate(); err != nil {
		return err
	}
	switch {
	case f.Certificate == "" && f.Key != "":
		return &appliance.AttrError{Attr: "key", Msg: "has no certificate beside it; write certificate as well"}
	case f.Certificate != "" && f.Key == "":
		return &appliance.AttrError{Attr: "certificate", Msg: "has no key beside it; write key as well"}
	case f.Certificate == "" && len(f.Pairs) == 0:
		return &appliance.AttrError{Attr: "certificate",
			Msg: `is missing; write certificate = "/tls/fullchain.pem" and key = "/tls/privkey.pem"`}
	}
	for i, p := range f.Pairs {
		if p.Certificate == "" || p.Key == "" {
			return &appliance.AttrError{Attr: "pair", Msg: fmt.Sprintf("number %d has an empty path", i+1)}
		}
	}
	return nil
}

// Provision implements appliance.Module.
func (f *Files) Provision(ctx *appliance.Context) (err error) {
	f.log, f.hostname = ctx.Log, ctx.Hostname
	var paths []string
	for _, p := range f.pairs() {
		paths = append(paths, p.Certificate, p.Key)
	}
	if f.current, err = localfile.Watch(ctx.Log, f.load, paths...); err != nil {
		return err
	}
	return certs.RegisterExpiry(ctx.Metrics, f.Certificates)
}

// ServerConfig implements appliance.Certificates.
func (f *Files) ServerConfig(use appliance.TLSUse) *tls.Config {
	return f.Settings.ServerConfig(use, f.current.Get)
}

// Certificates implements appliance.Certificates.
func (f *Files) Certificates() []appliance.CertificateInfo { return certs.Describe(f.current.Get()) }

// Ready implements appliance.Certificates: a file is there from the start on.
func (f *Files) Ready() error { return nil }

// pairs are all pairs, the default first.
func (f *Files) pairs() []Pair {
	if f.Certificate == "" {
		return f.Pairs
	}
	return append([]Pair{{f.Certificate, f.Key}}, f.Pairs...)
}

func (f *Files) load() ([]*tls.Certificate, error) {
	var all []*tls.Certificate
	for i, p := range f.pairs() {
		c, blamed, err := f.loadPair(p)
		if err != nil {
			return nil, f.blame(i, blamed, err)
		}
		f.judge(c.Leaf, p.Certificate)
		all = append(all, c)
	}
	if all[0].Leaf.VerifyHostname(f.hostname) != nil {
		f.log.Warn("the certificate is not valid for the host name of this server; clients that verify it will not connect",
			zap.String("hostname", f.hostname), zap.Strings("valid_for", all[0].Leaf.DNSNames))
	}
	return all, nil
}

// loadPair reads one pair. With an error it says which attribute is to blame.
func (f *Files) loadPair(p Pair) (c *tls.Certificate, blamed string, err error) {
	chain, err := localfile.Read(p.Certificate, maxFile)
	if err != nil {
		return nil, "certificate", err
	}
	key, err := localfile.ReadSecret(f.log, p.Key, maxFile)
	if err != nil {
		return nil, "key", err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err == nil {
		return &pair, "", nil
	}
	if leafError(chain) != nil {
		return nil, "certificate", fmt.Errorf("%s: %w", p.Certificate, err)
	}
	return nil, "key", fmt.Errorf("%s: %w", p.Key, err)
}

// blame makes err that of attribute attr of pair number i.
func (f *Files) blame(i int, attr string, err error) error {
	msg := "cannot be used"
	if f.Certificate == "" || i > 0 {
		attr, msg = "pair", attr+" cannot be used"
	}
	return &appliance.AttrError{Attr: attr, Msg: msg, Err: err}
}

// judge warns of a certificate that clients will not accept today.
func (f *Files) judge(leaf *x509.Certificate, path string) {
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		f.log.Warn("the certificate has expired", zap.String("file", path), zap.Time("not_after", leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		f.log.Warn("the certificate is not valid yet", zap.String("file", path), zap.Time("not_before", leaf.NotBefore))
	}
}
