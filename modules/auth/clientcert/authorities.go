package clientcert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// Sizes of the files, in octets: an authority has a kilobyte, an entry of a
// revocation list some forty.
const (
	maxCAFile  = 1 << 20
	maxCRLFile = 16 << 20
)

// maxChain is how many certificates a client may show.
const maxChain = 10

// authorities are those who may vouch for clients. nil is nobody.
type authorities struct {
	pool  *x509.CertPool
	lists map[string]*list // by the key of their issuer; nil without a crl_file
}

// load reads both files.
func (c *ClientCert) load() (*authorities, error) {
	content, err := localfile.Read(c.CAFile, maxCAFile)
	if err != nil {
		return nil, cannotUse("ca_file", err)
	}
	all, err := parseAuthorities(content)
	if err != nil {
		return nil, cannotUse("ca_file", fmt.Errorf("%s: %w", c.CAFile, err))
	}
	a := &authorities{pool: x509.NewCertPool()}
	for _, ca := range all {
		a.pool.AddCert(ca)
		if time.Now().After(ca.NotAfter) {
			c.log.Warn("an authority for client certificates has expired: nobody can log in with one of its own",
				zap.String("file", c.CAFile), zap.String("authority", ca.Subject.String()), zap.Time("not_after", ca.NotAfter))
		}
	}
	if c.CRLFile == "" {
		return a, nil
	}
	if a.lists, err = c.loadLists(all); err != nil {
		return nil, cannotUse("crl_file", err)
	}
	return a, nil
}

func cannotUse(attr string, err error) error {
	return &appliance.AttrError{Attr: attr, Msg: "cannot be used", Err: err}
}

// parseAuthorities reads the PEM blocks of ca_file, all of which must make
// sense: a certificate that is passed over is a client that cannot log in.
func parseAuthorities(content []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for n := 1; ; n++ {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %d is a %s; only certificates belong here", n, block.Type)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		if !ca.BasicConstraintsValid || !ca.IsCA {
			return nil, fmt.Errorf("the certificate of %q is not that of an authority; to let in a single certificate, write a user block with its fingerprint %s",
				ca.Subject.String(), fingerprintOf(ca))
		}
		all = append(all, ca)
	}
	if len(all) == 0 || bytes.Contains(content, []byte("-----BEGIN")) {
		return nil, errors.New("does not hold certificates in PEM, or the last is cut off")
	}
	return all, nil
}

// verify says whether an authority vouches for the first certificate of a
// chain as that of a client. The error is ErrCredentials unless the answer is
// not known.
func (a *authorities) verify(chain []*x509.Certificate, now time.Time) error {
	switch {
	case len(chain) > maxChain:
		return refusal("comes with %d others; at most %d are looked at", len(chain)-1, maxChain-1)
	case chain[0].IsCA:
		return refusal("is of an authority, not of a client")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots: a.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return refusal("%v", err)
	}
	if a.lists == nil {
		return nil
	}
	return a.standing(chains, now)
}

// standing says whether nobody in one of the chains has been revoked. Not to
// know is worse than to know that he has: the client comes again.
func (a *authorities) standing(chains [][]*x509.Certificate, now time.Time) (worst error) {
	for _, chain := range chains {
		err := a.unrevoked(chain, now)
		if err == nil {
			return nil
		}
		if worst == nil || !errors.Is(err, appliance.ErrCredentials) {
			worst = err
		}
	}
	return worst
}
