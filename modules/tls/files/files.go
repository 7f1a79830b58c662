// Package files is tls "files": certificates that somebody else keeps fresh,
// such as certbot, cert-manager or a company's own authority.
//
//	tls "files" "own" {
//	  certificate = "/tls/fullchain.pem"
//	  key         = "/tls/privkey.pem"
//	}
//
// Several pairs, for several names or an RSA beside an ECDSA key, are written
// as pair blocks, or found in a directory, whatever they are called there:
//
//	tls "files" "own" { directory = "/etc/letsencrypt/live" }
//
// A client gets the first that is valid for the name it asks for and that it
// can use; a client that asks for no name, or another, gets the first of all.
//
// # Directories
//
// The files *.crt, *.cer, *.pem and *.key of the directory and of its direct
// sub-directories are read; symbolic links are followed, and names that begin
// with a dot are not looked at. So a mounted secret of Kubernetes, the live
// directory of certbot and a volume with a few files all do. A file can hold a
// chain, a key or both: what belongs together is found out by the public key. Of
// several certificates for the same names and the same kind of key, the one that
// is valid for longest is served. The first of all is one that is valid for the
// host name of the server; the others follow by the names of their files. A
// certificate without a key, a key without a certificate, and a file in another
// format are named in the log, once, and not used.
//
// # Changes
//
// The files are read again within a second or two of a change, in the middle
// of which they may be: until certificate and key fit each other, and whenever
// the new content is bad, the old certificates stay in use, all of them, and the
// log says why. In a directory that is so when a certificate that was served is
// still there but cannot be used any more; one that is removed is served no
// longer, unless it is the last. Sessions that are under way keep what they have.
//
// At the start, a file that cannot be read, a key that does not fit, or a
// directory without any pair, is an error.
package files

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

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
	// A directory instead: every certificate in its *.crt, *.cer, *.pem and
	// *.key files, and in those of its direct sub-directories, is served
	// together with the key that belongs to it, such as
	// "/etc/letsencrypt/live" or a mounted secret of Kubernetes. The default is
	// one that is valid for the host name of the server.
	Directory string `hcl:"directory,optional"`

	log      *zap.Logger
	hostname string
	current  *localfile.Watched[set]
	last     set // that load returned, for the next load
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

// A set is what is served, the default first.
type set struct {
	certificates []*tls.Certificate
	files        []string  // that they are from
	unused       []problem // what the log has been told of the others
}

// Validate implements appliance.Validator.
func (f *Files) Validate() error {
	if err := f.Settings.Validate(); err != nil {
		return err
	}
	switch {
	case f.Directory != "" && (f.Certificate != "" || f.Key != "" || len(f.Pairs) > 0):
		return &appliance.AttrError{Attr: "directory",
			Msg: "stands beside certificate, key or pair; write it alone, or in a second tls block"}
	case f.Certificate == "" && f.Key != "":
		return &appliance.AttrError{Attr: "key", Msg: "has no certificate beside it; write certificate as well"}
	case f.Certificate != "" && f.Key == "":
		return &appliance.AttrError{Attr: "certificate", Msg: "has no key beside it; write key as well"}
	case f.Certificate == "" && len(f.Pairs) == 0 && f.Directory == "":
		return &appliance.AttrError{Attr: "certificate",
			Msg: `is missing; write certificate = "/tls/fullchain.pem" and key = "/tls/privkey.pem", or directory = "/tls"`}
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
	if f.Directory != "" {
		f.current, err = localfile.WatchSet(ctx.Log, f.load, f.watchedPaths)
	} else {
		f.current, err = localfile.Watch(ctx.Log, f.load, f.paths()...)
	}
	if err != nil {
		return err
	}
	return certs.RegisterExpiry(ctx.Metrics, f.Certificates)
}

// ServerConfig implements appliance.Certificates.
func (f *Files) ServerConfig(use appliance.TLSUse) *tls.Config {
	return f.Settings.ServerConfig(use, func() []*tls.Certificate { return f.current.Get().certificates })
}

// Certificates implements appliance.Certificates.
func (f *Files) Certificates() []appliance.CertificateInfo {
	now := f.current.Get()
	all := certs.Describe(now.certificates)
	for i := range all {
		all[i].Source = now.files[i]
		if err := f.current.Err(); err != nil {
			all[i].Error = err.Error()
		}
	}
	return all
}

// Ready implements appliance.Certificates: a file is there from the start on.
func (f *Files) Ready() error { return nil }

// load reads everything and says what is wrong with what it takes.
func (f *Files) load() (s set, err error) {
	if f.Directory != "" {
		s, err = f.loadDirectory()
	} else {
		s, err = f.loadPairs()
	}
	if err != nil {
		return set{}, err
	}
	for i, c := range s.certificates {
		certs.Judge(f.log, s.files[i], c, x509.ExtKeyUsageServerAuth)
	}
	if first := s.certificates[0].Leaf; first.VerifyHostname(f.hostname) != nil {
		f.log.Warn("the certificate is not valid for the host name of this server; clients that verify it will not connect",
			zap.String("file", s.files[0]), zap.String("hostname", f.hostname), zap.Strings("valid_for", certs.Names(first)))
	}
	f.last = s
	return s, nil
}

// pairs are all pairs of the configuration, the default first.
func (f *Files) pairs() []Pair {
	if f.Certificate == "" {
		return f.Pairs
	}
	return append([]Pair{{f.Certificate, f.Key}}, f.Pairs...)
}

func (f *Files) paths() []string {
	var all []string
	for _, p := range f.pairs() {
		all = append(all, p.Certificate, p.Key)
	}
	return all
}

func (f *Files) loadPairs() (s set, err error) {
	for i, p := range f.pairs() {
		c, err := certs.LoadPair(f.log, p.Certificate, p.Key)
		if err != nil {
			return set{}, f.blame(i, err)
		}
		s.certificates = append(s.certificates, c)
		s.files = append(s.files, p.Certificate)
	}
	return s, nil
}

// blame makes err that of an attribute of pair number i.
func (f *Files) blame(i int, err error) error {
	e, ok := errors.AsType[*certs.PairError](err)
	if !ok {
		return err
	}
	attr, msg := e.Part, "cannot be used"
	if f.Certificate == "" || i > 0 {
		attr, msg = "pair", e.Part+" cannot be used"
	}
	return &appliance.AttrError{Attr: attr, Msg: msg, Err: e.Err}
}
