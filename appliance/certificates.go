package appliance

import (
	"context"
	"crypto/tls"
	"time"
)

// Certificates makes the TLS configuration of listeners and keeps its
// certificates fresh. All methods may be called after Start.
type Certificates interface {
	Module
	// ServerConfig is called once for each listener; the certificates behind
	// the configuration change without another call. It is the caller's own,
	// and no longer used when a [CertificateReleaser] is told so.
	ServerConfig(use TLSUse) *tls.Config
	// Certificates describes what is served and what is waited for, the
	// default first.
	Certificates() []CertificateInfo
	// Ready returns nil once clients are shown a certificate that they can
	// verify, or that the administrator has told them to trust. Until then
	// nobody should be asked for a password: the error says what is missing.
	Ready() error
}

// A TLSUse is what a listener wants a TLS configuration for.
type TLSUse struct {
	// Names are the host names, besides that of the appliance, under which
	// clients know the listener.
	Names []string
	// Opportunistic says that whoever cannot use TLS goes on in plain text, as
	// servers do on port 25: rather an old cipher suite than none (RFC 7435,
	// section 3), and no session tickets, which some of these servers fail on.
	Opportunistic bool
}

// A CertificateReleaser is a Certificates that keeps some certificates for as
// long as there are listeners with their names. Release is called once for
// each ServerConfig, when the last session of the listener has ended.
type CertificateReleaser interface {
	Release(use TLSUse)
}

// A CertificateRenewer is a Certificates that can be asked for a new
// certificate before the old one is due. Renew returns when there is one, or
// says why not; fs.ErrNotExist is that no certificate is kept for the name.
type CertificateRenewer interface {
	Renew(ctx context.Context, name string) error
}

// A CertificateInfo describes a certificate that is served, or waited for.
type CertificateInfo struct {
	Names     []string         `json:"names"` // host names and IP addresses
	State     CertificateState `json:"state"`
	Issuer    string           `json:"issuer,omitempty"`     // the common name, or the organization, of its issuer
	Source    string           `json:"source,omitempty"`     // the file, or the authority that is asked
	NotBefore time.Time        `json:"not_before,omitzero"`  //
	NotAfter  time.Time        `json:"not_after,omitzero"`   //
	Renewal   time.Time        `json:"renewal,omitzero"`     // when it will be renewed; zero if somebody else sees to that
	KeyHash   string           `json:"key_sha256,omitempty"` // SHA-256 of the SubjectPublicKeyInfo, in hexadecimal: what a TLSA record 3 1 1 holds
	KeyStays  bool             `json:"key_stays"`            // renewals keep the key, so that a TLSA record stays right
	Error     string           `json:"error,omitempty"`      // why the last attempt to get or to read a new one failed
	NextTry   time.Time        `json:"next_try,omitzero"`    // when it will be tried again
}

// A CertificateState says what a certificate is worth today.
type CertificateState string

// The states of a certificate.
const (
	CertificateValid      CertificateState = "valid"       // issued by somebody else, in its time
	CertificateSelfSigned CertificateState = "self-signed" // proves nothing to who was not given it
	CertificateExpired    CertificateState = "expired"     // or not valid yet
	CertificatePending    CertificateState = "pending"     // there is none yet
)
