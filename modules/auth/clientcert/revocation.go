package clientcert

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

var errRevoked = refusal("has been revoked")

// A list is what one authority has revoked (RFC 5280, section 5).
type list struct {
	issuer     []byte // its name, in DER
	name       string
	this, next time.Time
	serials    map[string]struct{}
}

func (l *list) holds(c *x509.Certificate) bool {
	_, ok := l.serials[string(c.SerialNumber.Bytes())]
	return ok
}

// current says whether the list tells anything about now.
func (l *list) current(now time.Time) error {
	if now.Before(l.this) || now.After(l.next) {
		return fmt.Errorf("the revocation list of %q is valid from %s to %s; put the newest into crl_file",
			l.name, l.this.Format(time.RFC3339), l.next.Format(time.RFC3339))
	}
	return nil
}

// keyOf is what an authority signs as: two certificates with the same name and
// public key are of one.
func keyOf(c *x509.Certificate) string {
	return string(c.RawSubject) + string(c.RawSubjectPublicKeyInfo)
}

// unrevoked looks each certificate of a chain up in the list of its issuer;
// the last stands in ca_file and is trusted for that.
func (a *authorities) unrevoked(chain []*x509.Certificate, now time.Time) error {
	for i, c := range chain[:len(chain)-1] {
		l := a.lists[keyOf(chain[i+1])]
		if l == nil {
			return fmt.Errorf("crl_file has no revocation list of %q", chain[i+1].Subject.String())
		}
		if err := l.current(now); err != nil {
			return err
		}
		if l.holds(c) {
			return errRevoked
		}
	}
	return nil
}

// revoked says whether a certificate that a user block names, and that may be
// of anybody, stands in a list of the one it says has issued it.
func (a *authorities) revoked(c *x509.Certificate) bool {
	if a == nil {
		return false
	}
	for _, l := range a.lists {
		if bytes.Equal(l.issuer, c.RawIssuer) && l.holds(c) {
			return true
		}
	}
	return false
}

// loadLists reads crl_file.
func (c *ClientCert) loadLists(cas []*x509.Certificate) (map[string]*list, error) {
	content, err := localfile.Read(c.CRLFile, maxCRLFile)
	if err != nil {
		return nil, err
	}
	parsed, err := parseLists(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.CRLFile, err)
	}
	lists := make(map[string]*list)
	for _, rl := range parsed {
		ca, err := signer(rl, cas)
		if err != nil {
			return nil, fmt.Errorf("%s: the list of %q %w", c.CRLFile, rl.Issuer.String(), err)
		}
		if lists[keyOf(ca)] != nil {
			return nil, fmt.Errorf("%s: there are two lists of %q; keep the newest", c.CRLFile, rl.Issuer.String())
		}
		lists[keyOf(ca)] = newList(rl)
	}
	c.judge(cas, lists)
	return lists, nil
}

// judge warns of those for whom nobody can log in.
func (c *ClientCert) judge(cas []*x509.Certificate, lists map[string]*list) {
	for _, ca := range cas {
		l := lists[keyOf(ca)]
		if l == nil {
			c.log.Warn("an authority has no revocation list: who has a certificate of it gets 454",
				zap.String("file", c.CRLFile), zap.String("authority", ca.Subject.String()))
		} else if err := l.current(time.Now()); err != nil {
			c.log.Warn("a revocation list is not valid today: who has a certificate of that authority gets 454",
				zap.String("file", c.CRLFile), zap.Error(err))
		}
	}
}

func parseLists(content []byte) ([]*x509.RevocationList, error) {
	if !bytes.Contains(content, []byte("-----BEGIN")) {
		rl, err := x509.ParseRevocationList(content)
		return []*x509.RevocationList{rl}, err
	}
	var all []*x509.RevocationList
	for n := 1; ; n++ {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("PEM block %d is a %s; only revocation lists belong here", n, block.Type)
		}
		rl, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		all = append(all, rl)
	}
	if len(all) == 0 || bytes.Contains(content, []byte("-----BEGIN")) {
		return nil, errors.New("does not hold revocation lists in PEM, or the last is cut off")
	}
	return all, nil
}

// signer finds whose list it is, and refuses one that cannot be relied upon.
func signer(rl *x509.RevocationList, cas []*x509.Certificate) (*x509.Certificate, error) {
	switch {
	case rl.NextUpdate.IsZero():
		return nil, errors.New("does not say until when it is valid (next update)")
	case hasCritical(rl):
		// RFC 5280, section 5.2: an application that cannot process a critical
		// extension "MUST NOT use that CRL to determine the status of
		// certificates". Lists of changes, and lists of a part, have one.
		return nil, errors.New("is not a complete list of the authority itself, or has another critical extension; make one without")
	}
	for _, ca := range cas {
		if bytes.Equal(ca.RawSubject, rl.RawIssuer) && rl.CheckSignatureFrom(ca) == nil {
			return ca, nil
		}
	}
	return nil, errors.New("is signed by nobody in ca_file")
}

func hasCritical(rl *x509.RevocationList) bool {
	critical := func(e pkix.Extension) bool { return e.Critical }
	return slices.ContainsFunc(rl.Extensions, critical) ||
		slices.ContainsFunc(rl.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
			return slices.ContainsFunc(e.Extensions, critical)
		})
}

func newList(rl *x509.RevocationList) *list {
	l := &list{
		issuer: rl.RawIssuer, name: rl.Issuer.String(), this: rl.ThisUpdate, next: rl.NextUpdate,
		serials: make(map[string]struct{}, len(rl.RevokedCertificateEntries)),
	}
	for _, e := range rl.RevokedCertificateEntries {
		l.serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	return l
}
