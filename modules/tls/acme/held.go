package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	acmeproto "github.com/mholt/acmez/v3/acme"
)

// held is a certificate that an authority has issued. It does not change.
type held struct {
	certificate *tls.Certificate // with its Leaf
	source      string           // which authority
	renewal     time.Time        // when to renew it
	suggested   bool             // by the authority
}

// same says whether it is the same certificate.
func (h *held) same(o *held) bool {
	return h != nil && o != nil && bytes.Equal(h.certificate.Leaf.Raw, o.certificate.Leaf.Raw)
}

// load reads the newest certificate for a name from the store, without the
// network. It is nil if there is none.
func (a *ACME) load(ctx context.Context, s *storage, name string) (newest *held, err error) {
	for _, from := range a.plan.authorities {
		h, err := s.read(ctx, from.key(), name)
		if err != nil {
			return nil, err
		}
		if h != nil {
			h.source = from.source
		}
		newest = newer(newest, h)
	}
	return newest, nil
}

// stagingKey is the place of Let's Encrypt's staging environment in the store.
var stagingKey = (&authority{directory: certmagic.LetsEncryptStagingCA}).key()

// loadFormer reads the newest certificate for a name that is of an authority
// that is not configured any more, and still valid: until there is a new one,
// it is better than one that nobody can verify, as is one for trying things
// out. It is nil if there is none.
func (a *ACME) loadFormer(ctx context.Context, s *storage, name string) (newest *held, err error) {
	authorities, err := s.List(ctx, certificates, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for certificates of other authorities: %w", err)
	}
	for _, key := range authorities {
		from := strings.TrimPrefix(key, certificates)
		if from == stagingKey {
			continue
		}
		h, err := s.read(ctx, from, name)
		if err != nil {
			return nil, err
		}
		if h != nil && time.Now().Before(h.certificate.Leaf.NotAfter) {
			newest = newer(newest, h)
		}
	}
	return newest, nil
}

// newer is the one that was issued later. Either may be nil.
func newer(one, other *held) *held {
	if one == nil || other != nil && other.certificate.Leaf.NotBefore.After(one.certificate.Leaf.NotBefore) {
		return other
	}
	return one
}

// read returns the certificate for a name that an authority has issued, by its
// key. It is nil if there is none.
func (s *storage) read(ctx context.Context, from, name string) (*held, error) {
	at, _, _ := bundleKey(certmagic.StorageKeys.SiteCert(from, name))
	b, err := s.bundle(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate for %s: %w", name, err)
	}
	c, err := b.certificate()
	if err != nil {
		return nil, err // decodeBundle has just made it
	}
	return &held{c, from, renewalOf(c, b.meta), !suggestedRenewal(b.meta).IsZero()}, nil
}

// lateRatio is the part of its life with which a certificate is renewed
// whatever the authority says.
const lateRatio = 1.0 / 20

// renewalRatio is the part of its life with which a certificate is renewed at
// the latest. Certmagic goes by it even if the authority suggests a later time.
func renewalRatio(suggested bool) float64 {
	if suggested {
		return lateRatio
	}
	return certmagic.DefaultRenewalWindowRatio
}

// renewalOf is when a certificate is due for renewal, as certmagic sees it: at
// the time that was chosen in the window of the authority (RFC 9773), or with
// renewalRatio of its life left.
func renewalOf(c *tls.Certificate, meta []byte) time.Time {
	suggested := suggestedRenewal(meta)
	end := c.Leaf.NotAfter.Truncate(time.Second).Add(time.Second) // to the end of its last second
	life := end.Sub(c.Leaf.NotBefore)
	last := end.Add(-time.Duration(float64(life) * renewalRatio(!suggested.IsZero())))
	if !suggested.IsZero() && suggested.Before(last) {
		return suggested
	}
	return last
}

// suggestedRenewal is the zero time if the authority made no suggestion.
func suggestedRenewal(meta []byte) time.Time {
	var resource certmagic.CertificateResource
	var data acmeproto.Certificate
	if json.Unmarshal(meta, &resource) != nil || json.Unmarshal(resource.IssuerData, &data) != nil || data.RenewalInfo == nil {
		return time.Time{}
	}
	return data.RenewalInfo.SelectedTime
}

// isOfType says whether a key is of the kind that is configured.
func isOfType(key any, kind certmagic.KeyType) bool {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return kind == certmagic.P256 && k.Curve == elliptic.P256() || kind == certmagic.P384 && k.Curve == elliptic.P384()
	case *rsa.PrivateKey:
		return kind == certmagic.RSA2048 && k.N.BitLen() == 2048 || kind == certmagic.RSA4096 && k.N.BitLen() == 4096
	}
	return false
}
