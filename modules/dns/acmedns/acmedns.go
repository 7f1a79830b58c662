// Package acmedns is dns "acmedns": the challenges of an ACME authority are
// answered by a server of acme-dns, a name server that holds nothing but such
// answers. The zone of the mail server's name stays as it is, and no key that
// could change it lies on this machine.
//
//	dns "acmedns" "challenges" {
//	  server      = "https://auth.example.org"
//	  username    = "eabcdb41-d89f-4580-826f-3e62e9755ef2"
//	  password    = env("ACMEDNS_PASSWORD")
//	  subdomain   = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"
//	  full_domain = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf.auth.example.org"
//	}
//
// The four values are what the server gave when it was asked for an account,
// once and by hand:
//
//	curl -X POST https://auth.example.org/register
//
// # The CNAME
//
// The record goes to full_domain whatever name is asked for, so each name of
// the certificate needs a CNAME that leads there, made once and by hand:
//
//	_acme-challenge.mail.example.com.  CNAME  d420c923-….auth.example.org.
//
// The authority follows it, and so does the block tls "acme" when it looks
// whether the record can be seen. Its override_domain may be left out, or be
// full_domain: then the record is looked for at that name alone, which is
// right where the CNAME cannot be seen from here.
//
// # Limits
//
// The server keeps the two newest values of an account: enough for a name and
// its wildcard, which are asked for together. More names than that want more
// accounts, each with a dns block and a tls block of its own. Values that
// answer no challenge are refused, here as there. Nothing can be deleted, nor
// needs to be: DeleteRecords does nothing.
package acmedns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/httpapi"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindDNS,
		Name:    "acmedns",
		Summary: "an acme-dns server, which answers ACME challenges and nothing else",
		Example: `dns "acmedns" "challenges" {
  server      = "https://auth.example.org"
  username    = "eabcdb41-d89f-4580-826f-3e62e9755ef2"
  password    = env("ACMEDNS_PASSWORD")
  subdomain   = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"
  full_domain = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf.auth.example.org"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// ACMEDNS is the block dns "acmedns".
type ACMEDNS struct {
	httpapi.Settings
	// The URL of the acme-dns server: "https://auth.example.org".
	Server string `hcl:"server"`
	// The "username" that the server gave for the account.
	Username string `hcl:"username"`
	// The "password" that the server gave for the account.
	Password appliance.Secret `hcl:"password"`
	// The "subdomain" that the server gave for the account.
	Subdomain string `hcl:"subdomain"`
	// The "fulldomain" that the server gave for the account: what a CNAME at
	// _acme-challenge of each name must lead to.
	FullDomain string `hcl:"full_domain"`

	update *url.URL
	target string
	client *httpapi.Client
	log    *zap.Logger
}

// Interface guards.
var (
	_ appliance.DNSProvider = (*ACMEDNS)(nil)
	_ appliance.Validator   = (*ACMEDNS)(nil)
)

// New returns an ACMEDNS with the defaults.
func New() *ACMEDNS { return &ACMEDNS{Settings: httpapi.Defaults()} }

// Validate implements appliance.Validator.
func (p *ACMEDNS) Validate() error {
	if err := p.Settings.Validate(); err != nil {
		return err
	}
	if _, err := httpapi.ParseURL("server", p.Server); err != nil {
		return err
	}
	for _, a := range []struct{ attr, value string }{
		{"username", p.Username}, {"password", p.Password.Reveal()}, {"subdomain", p.Subdomain}, {"full_domain", p.FullDomain},
	} {
		if a.value == "" || strings.ContainsAny(a.value, "\x00\r\n") {
			return &appliance.AttrError{Attr: a.attr, Msg: "is empty or not one line; write what the server gave for the account (curl -X POST " + p.hint() + "/register)"}
		}
	}
	full, err := provider.Zone(p.FullDomain)
	if err != nil {
		return &appliance.AttrError{Attr: "full_domain", Msg: `must be the "fulldomain" that the server gave`, Err: err}
	}
	if !strings.HasPrefix(full, strings.ToLower(p.Subdomain)+".") {
		return &appliance.AttrError{Attr: "full_domain", Msg: "does not begin with subdomain; both are of one account"}
	}
	return nil
}

// hint is the server without what may be a secret.
func (p *ACMEDNS) hint() string {
	u, err := url.Parse(p.Server)
	if err != nil {
		return "https://auth.example.org"
	}
	return u.Scheme + "://" + u.Host
}

// Provision implements appliance.Module.
func (p *ACMEDNS) Provision(ctx *appliance.Context) error {
	server, err := httpapi.ParseURL("server", p.Server)
	if err != nil {
		return err
	}
	if p.target, err = provider.Zone(p.FullDomain); err != nil {
		return &appliance.AttrError{Attr: "full_domain", Msg: "is no name", Err: err}
	}
	p.update, p.log = server.JoinPath("update"), ctx.Log
	p.client, err = p.NewClient(ctx, p.Password)
	return err
}

// AppendRecords implements libdns.RecordAppender. Whatever the names of the
// records, their values appear at full_domain.
func (p *ACMEDNS) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := provider.Added(zone, recs)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if !answersChallenge(r) {
			return nil, fmt.Errorf("%s %s: an acme-dns server takes the answers to ACME challenges and nothing else; another dns block can hold this record", r.FQDN, r.Type)
		}
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	for i, r := range records {
		if err := p.put(ctx, r); err != nil {
			return provider.Typed(records[:i]), fmt.Errorf("record %s: %w", r.FQDN, err)
		}
		if r.FQDN != p.target {
			p.log.Debug("the challenge is answered at full_domain; a CNAME must lead there",
				zap.String("name", r.FQDN), zap.String("full_domain", p.target))
		}
	}
	return provider.Typed(records), nil
}

// answersChallenge: the value is a SHA-256 in base64url without padding (RFC
// 8555, section 8.4).
func answersChallenge(r provider.Record) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return r.Type == "TXT" && len(r.Data) == 43 && strings.Trim(r.Data, alphabet) == ""
}

func (p *ACMEDNS) put(ctx context.Context, r provider.Record) error {
	body, err := json.Marshal(map[string]string{"subdomain": p.Subdomain, "txt": r.Data})
	if err != nil {
		return err
	}
	answer, err := p.client.Do(ctx, httpapi.Request{
		Method: http.MethodPost, URL: p.update, Body: body,
		Header: http.Header{"X-Api-User": {p.Username}, "X-Api-Key": {p.Password.Reveal()}},
	})
	if err != nil {
		return err
	}
	if !answer.OK() {
		return answer.Err(advice(answer.Status))
	}
	var done struct{ TXT string }
	if err := json.Unmarshal(answer.Body, &done); err != nil {
		return answer.Misunderstood(err)
	}
	if done.TXT != r.Data {
		return answer.Misunderstood(errors.New("it does not confirm the value"))
	}
	return nil
}

func advice(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "compare username, password and subdomain with what the server gave for the account; it may also be bound to other networks than ours (allowfrom)"
	case http.StatusNotFound:
		return "server must be the URL below which acme-dns has /update"
	}
	return ""
}

// DeleteRecords implements libdns.RecordDeleter. The server has no way to
// delete: the next values push the old ones out.
func (p *ACMEDNS) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	if _, err := provider.Complete(zone, recs); err != nil {
		return nil, err
	}
	return nil, ctx.Err()
}
