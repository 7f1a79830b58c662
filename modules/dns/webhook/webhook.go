// Package webhook is dns "webhook": changes of records are posted to a program
// of one's own, for an operator that nothing else here speaks to.
//
//	dns "webhook" "own" {
//	  url    = "https://dns-hook.example.com/waxwing"
//	  secret = env("DNS_HOOK_SECRET")
//	}
//
// # What is sent
//
//	POST /waxwing
//	Content-Type: application/json
//	X-Waxwing-Timestamp: 1767225600
//	X-Waxwing-Signature: sha256=5f2e…
//
//	{
//	  "action": "append",
//	  "zone": "example.com.",
//	  "records": [
//	    {"name": "_acme-challenge.mail.example.com.", "type": "TXT", "value": "…", "ttl": 60}
//	  ]
//	}
//
// The action "append" adds the records and leaves others at the same name
// alone. "delete" removes those that match: an empty type or value, or a ttl
// of 0, matches any; records that are not there are no error. Names are
// complete, ttl is in seconds, and the value of a TXT record has no quotes.
//
// The signature is the HMAC-SHA256, in hexadecimal, of the timestamp, a dot
// and the body, with secret as the key. A receiver compares it, and refuses a
// timestamp that is some minutes old, so that a request cannot be replayed. A
// token is sent as "Authorization: Bearer", username and password as "Basic".
//
// A status of 200 to 299 means that all of it is done. The answer may be
// empty; of any other answer the first line appears in the error. Requests may
// come at the same time, and after an answer of 429 or 503 the same one again.
//
// # httpreq
//
// With mode = "httpreq" the receiver is one of the many that lego's provider
// of that name speaks to: {"fqdn": …, "value": …} is posted to /present and
// /cleanup below the URL, one TXT record at a time.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/httpapi"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindDNS,
		Name:    "webhook",
		Summary: "changes posted as JSON to an HTTP service of one's own",
		Example: `dns "webhook" "own" {
  url    = "https://dns-hook.example.com/waxwing"
  secret = env("DNS_HOOK_SECRET")
}
`,
		New: func() appliance.Module { return New() },
	})
}

// The modes.
const (
	modeJSON    = "json"
	modeHTTPReq = "httpreq"
)

// Webhook is the block dns "webhook".
type Webhook struct {
	httpapi.Settings
	// Where changes are posted to: "https://dns-hook.example.com/waxwing", or
	// "http://127.0.0.1:8080" on this machine.
	URL string `hcl:"url"`
	// "json": one request for each change, as the manual describes it.
	// "httpreq": that of the provider of this name in lego, with /present and
	// /cleanup below the URL. Default "json".
	Mode string `hcl:"mode,optional"`
	// The key of the signature, in X-Waxwing-Signature: the HMAC-SHA256 of the
	// timestamp, a dot and the body. Default: not signed.
	Secret appliance.Secret `hcl:"secret,optional"`
	// Sent as "Authorization: Bearer". Default: not sent.
	Token appliance.Secret `hcl:"token,optional"`
	// Sent with password as "Authorization: Basic". Default: not sent.
	Username string `hcl:"username,optional"`
	// The password that belongs to username.
	Password appliance.Secret `hcl:"password,optional"`

	url    *url.URL
	login  appliance.Secret // the value of Authorization, if there is one
	client *httpapi.Client
}

// Interface guards.
var (
	_ appliance.DNSProvider = (*Webhook)(nil)
	_ appliance.Validator   = (*Webhook)(nil)
)

// New returns a Webhook with the defaults.
func New() *Webhook { return &Webhook{Settings: httpapi.Defaults(), Mode: modeJSON} }

// Validate implements appliance.Validator.
func (p *Webhook) Validate() error {
	if err := p.Settings.Validate(); err != nil {
		return err
	}
	if _, err := httpapi.ParseURL("url", p.URL); err != nil {
		return err
	}
	bad := func(attr, msg string) error { return &appliance.AttrError{Attr: attr, Msg: msg} }
	switch {
	case p.Mode != modeJSON && p.Mode != modeHTTPReq:
		return bad("mode", `must be "json" or "httpreq"`)
	case p.Secret.IsSet() && p.Secret.Reveal() == "":
		return bad("secret", "is empty; leave it out, or write a long random string")
	case p.Token.IsSet() && (p.Token.Reveal() == "" || strings.ContainsFunc(p.Token.Reveal(), appliance.IsControl)):
		return bad("token", "is empty or not one line")
	case p.Token.IsSet() && p.Username != "":
		return bad("username", "stands beside token; write one of them")
	case p.Username == "" && p.Password.IsSet():
		return bad("password", "needs a username")
	case strings.Contains(p.Username, ":"): // RFC 7617, section 2
		return bad("username", "must not have a colon")
	}
	return nil
}

// Provision implements appliance.Module.
func (p *Webhook) Provision(ctx *appliance.Context) (err error) {
	if p.url, err = httpapi.ParseURL("url", p.URL); err != nil {
		return err
	}
	switch {
	case p.Token.IsSet():
		p.login = appliance.NewSecret("Bearer " + p.Token.Reveal())
	case p.Username != "":
		p.login = appliance.NewSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(p.Username+":"+p.Password.Reveal())))
	}
	p.client, err = p.NewClient(ctx, p.login, p.Secret, p.Token, p.Password)
	return err
}

// AppendRecords implements libdns.RecordAppender.
func (p *Webhook) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := provider.Added(zone, recs)
	if err != nil {
		return nil, err
	}
	return p.send(ctx, "append", zone, records)
}

// DeleteRecords implements libdns.RecordDeleter. The receiver does not say
// what was there: all of the records are returned.
func (p *Webhook) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := provider.Complete(zone, recs)
	if err != nil {
		return nil, err
	}
	return p.send(ctx, "delete", zone, records)
}

func (p *Webhook) send(ctx context.Context, action, zone string, records []provider.Record) ([]libdns.Record, error) {
	if len(records) == 0 {
		return nil, nil
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	if p.Mode == modeHTTPReq {
		return p.sendEach(ctx, action, records)
	}
	zone, err := provider.Zone(zone)
	if err != nil {
		return nil, err
	}
	if err := p.post(ctx, p.url, newChange(action, zone, records)); err != nil {
		return nil, err
	}
	return provider.Typed(records), nil
}

// A change is the body of a request.
type change struct {
	Action  string   `json:"action"`
	Zone    string   `json:"zone"`
	Records []record `json:"records"`
}

type record struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
	TTL   int64  `json:"ttl"`
}

func newChange(action, zone string, records []provider.Record) change {
	c := change{Action: action, Zone: zone}
	for _, r := range records {
		c.Records = append(c.Records, record{r.FQDN, r.Type, r.Data, int64(r.TTL / time.Second)})
	}
	return c
}

// sendEach speaks httpreq, which knows one TXT record at a time.
func (p *Webhook) sendEach(ctx context.Context, action string, records []provider.Record) ([]libdns.Record, error) {
	path := map[string]string{"append": "present", "delete": "cleanup"}[action]
	for i, r := range records {
		if r.Type != "TXT" || r.Data == "" {
			return provider.Typed(records[:i]), fmt.Errorf(`%s %s: mode "httpreq" knows TXT records with a value and nothing else; write mode = "json"`, r.FQDN, r.Type)
		}
		body := struct {
			FQDN  string `json:"fqdn"`
			Value string `json:"value"`
		}{r.FQDN, r.Data}
		if err := p.post(ctx, p.url.JoinPath(path), body); err != nil {
			return provider.Typed(records[:i]), err
		}
	}
	return provider.Typed(records), nil
}

func (p *Webhook) post(ctx context.Context, u *url.URL, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(ctx, httpapi.Request{Method: http.MethodPost, URL: u, Header: p.header(body), Body: body})
	if err != nil {
		return err
	}
	switch {
	case answer.OK():
		return nil
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		return answer.Err("compare secret, token or username and password with those of the receiver")
	}
	return answer.Err("")
}

// header signs the body, and says who we are.
func (p *Webhook) header(body []byte) http.Header {
	h := make(http.Header)
	if p.Secret.IsSet() {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		h.Set("X-Waxwing-Timestamp", at)
		h.Set("X-Waxwing-Signature", "sha256="+signature(p.Secret, at, body))
	}
	if p.login.IsSet() {
		h.Set("Authorization", p.login.Reveal())
	}
	return h
}

func signature(secret appliance.Secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	fmt.Fprintf(mac, "%s.%s", timestamp, body)
	return hex.EncodeToString(mac.Sum(nil))
}
