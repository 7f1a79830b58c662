package acme

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/caddyserver/certmagic"
	acmeproto "github.com/mholt/acmez/v3/acme"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// Issuer is an issuer block.
type Issuer struct {
	// The authority: "letsencrypt", "zerossl" or "google", or a name of your
	// own for one whose directory you write.
	Label string `hcl:"label,label"`
	// The https URL of the authority's ACME directory. Not written for the
	// three that are known.
	Directory string `hcl:"directory,optional"`
	// A PEM file with the root certificate that vouches for the directory's
	// HTTPS, for an authority of your own. Default: those of the system.
	RootFile string `hcl:"root_file,optional"`
	// The ACME profile to order certificates of, such as "shortlived". Default:
	// what the authority takes.
	CertificateProfile string `hcl:"certificate_profile,optional"`
	// The identifier of the account that you have with the authority outside
	// of ACME (external account binding). ZeroSSL and Google give you one.
	EABKeyID string `hcl:"eab_key_id,optional"`
	// The key that belongs to eab_key_id, in base64url as the authority shows
	// it.
	EABKey appliance.Secret `hcl:"eab_key,optional"`
}

// The authorities that are known by their labels.
const (
	letsencrypt = "letsencrypt"
	zerossl     = "zerossl"
	google      = "google"
)

// directories of the known authorities.
var directories = map[string]string{
	letsencrypt: certmagic.LetsEncryptProductionCA,
	zerossl:     certmagic.ZeroSSLProductionCA,
	google:      certmagic.GoogleTrustProductionCA,
}

// An authority is an Issuer with its gaps filled.
type authority struct {
	source    string // what people call it
	directory string
	staging   string // the directory to try first after a failure; "" if none
	profile   string
	eab       *acmeproto.EAB
	rootFile  string
	attr      string // where it is written
	roots     *x509.CertPool
}

// key is the place of the authority in the store.
func (c *authority) key() string { return (&certmagic.ACMEIssuer{CA: c.directory}).IssuerKey() }

// authorities are the configured authorities in their order.
func (a *ACME) authorities() ([]authority, error) {
	blocks := a.Issuers
	if len(blocks) == 0 {
		blocks = []Issuer{{Label: letsencrypt}}
	}
	var all []authority
	var bad []error
	seen := make(map[string]bool)
	for _, b := range blocks {
		one, err := b.authority()
		if err == nil && a.Staging {
			err = one.onlyStaging(b)
		}
		if err == nil && seen[one.directory] {
			err = b.blame("", "has the directory of an issuer before it; write one block for each authority")
		}
		seen[one.directory] = true
		all, bad = append(all, one), append(bad, err)
	}
	return all, errors.Join(bad...)
}

// blame makes an error about an attribute of the block, or about the block.
func (b *Issuer) blame(attr, msg string) error {
	path := "issuer." + b.Label
	if attr != "" {
		path += "." + attr
	}
	return &appliance.AttrError{Attr: path, Msg: msg}
}

func (b *Issuer) authority() (authority, error) {
	one := authority{
		source: b.Label, directory: b.Directory, profile: b.CertificateProfile,
		rootFile: b.RootFile, attr: "issuer." + b.Label,
	}
	known, isKnown := directories[b.Label]
	switch {
	case isKnown && b.Directory != "":
		return one, b.blame("directory", `is known for "`+b.Label+`"; leave it out, or give the block another name`)
	case isKnown && b.RootFile != "":
		return one, b.blame("root_file", `is of no use for "`+b.Label+`", which the system's roots vouch for; leave it out`)
	case isKnown:
		one.directory = known
	case b.Directory == "":
		return one, b.blame("", `is none of "letsencrypt", "zerossl" and "google", so it needs directory = "https://ca.example.com/acme/directory"`)
	}
	if u, err := url.Parse(one.directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return one, b.blame("directory", `must be an https URL, such as "https://ca.example.com/acme/directory"`)
	}
	if b.Label == letsencrypt {
		one.staging = certmagic.LetsEncryptStagingCA
	}
	eab, err := b.externalAccount()
	one.eab = eab
	return one, err
}

// onlyStaging makes the authority its staging environment.
func (c *authority) onlyStaging(b Issuer) error {
	if b.Label != letsencrypt {
		return &appliance.AttrError{Attr: "staging", Msg: `is for Let's Encrypt alone; write the staging directory of "` + b.Label + `" as the directory of an issuer with a name of its own`}
	}
	c.source, c.directory, c.staging = letsencrypt+" staging", c.staging, ""
	return nil
}

// externalAccount is the account outside of ACME (RFC 8555, section 7.3.4).
func (b *Issuer) externalAccount() (*acmeproto.EAB, error) {
	key := b.EABKey.Reveal()
	switch {
	case b.EABKeyID == "" && key == "":
		if b.Label == zerossl || b.Label == google {
			return nil, b.blame("", "needs eab_key_id and eab_key, which the authority gives you for your account with it")
		}
		return nil, nil
	case b.EABKeyID == "":
		return nil, b.blame("eab_key", "needs eab_key_id beside it")
	case key == "":
		return nil, b.blame("eab_key_id", `needs eab_key beside it, such as eab_key = env("EAB_KEY")`)
	}
	// RFC 8555, section 7.3.4: the key is "in base64url-encoded form"; some
	// authorities show it with padding, or in plain base64.
	key = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(key))
	if _, err := base64.RawURLEncoding.DecodeString(key); err != nil {
		return nil, b.blame("eab_key", "is not base64url; copy it as the authority shows it")
	}
	return &acmeproto.EAB{KeyID: b.EABKeyID, MACKey: key}, nil
}

// maxRoots bounds a root_file, in octets.
const maxRoots = 1 << 20

// readRoots reads the root_file, if there is one.
func (c *authority) readRoots() error {
	if c.rootFile == "" {
		return nil
	}
	pem, err := localfile.Read(c.rootFile, maxRoots)
	if err != nil {
		return &appliance.AttrError{Attr: c.attr + ".root_file", Msg: "cannot be read", Err: err}
	}
	c.roots = x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(pem) {
		return &appliance.AttrError{Attr: c.attr + ".root_file", Msg: "has no certificate in PEM; it should begin with -----BEGIN CERTIFICATE-----"}
	}
	return nil
}

// placeholder stands for no e-mail address: certmagic asks a person on the
// standard input if there is none, and stores an account without one under this
// name.
const placeholder = "default"

// accountName is what the account of an authority is stored under.
func (a *ACME) accountName() string { return cmp.Or(a.Email, placeholder) }
