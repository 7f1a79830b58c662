// Package cloudflare is dns "cloudflare": records are changed through version
// 4 of Cloudflare's API.
//
//	dns "cloudflare" "zone" {
//	  api_token = env("CLOUDFLARE_API_TOKEN")
//	}
//
// The token is made under "My Profile, API Tokens", with the permissions
// Zone:DNS:Edit and Zone:Zone:Read for the zones it is for. The global API key
// of an account is not taken: it can do far more than this needs.
//
// A zone of Cloudflare may begin above the zone that the caller found, so it
// is looked for by name from there upwards, and remembered. TXT records are
// written as quoted strings, as the API wants them, and compared by what is in
// them. TTLs below a minute are raised to one, the least that all plans take.
//
// Records are added and deleted one by one: when a call fails, what was done
// before stays, and is returned with the error. SetRecords is one batch, which
// Cloudflare carries out as a whole or not at all. An identical record that is
// there already counts as added, one that is gone as deleted.
//
// Records of the types A, AAAA, CNAME, MX, NS and TXT can be added.
package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/httpapi"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindDNS,
		Name:    "cloudflare",
		Summary: "zones at Cloudflare",
		Example: `dns "cloudflare" "zone" {
  api_token = env("CLOUDFLARE_API_TOKEN")
}
`,
		New: func() appliance.Module { return New() },
	})
}

const defaultEndpoint = "https://api.cloudflare.com/client/v4"

// Cloudflare is the block dns "cloudflare".
type Cloudflare struct {
	httpapi.Settings
	// An API token with the permissions Zone:DNS:Edit and Zone:Zone:Read for
	// the zones. Take it from the environment or a file:
	// env("CLOUDFLARE_API_TOKEN").
	APIToken appliance.Secret `hcl:"api_token"`
	// The URL of the API, where a proxy of one's own stands before it. Default
	// "https://api.cloudflare.com/client/v4".
	Endpoint string `hcl:"endpoint,optional"`

	endpoint *url.URL
	client   *httpapi.Client

	mu    sync.Mutex
	zones map[string]zone // by the zone the caller named
}

// Interface guards.
var (
	_ appliance.DNSProvider = (*Cloudflare)(nil)
	_ appliance.Validator   = (*Cloudflare)(nil)
	_ libdns.RecordGetter   = (*Cloudflare)(nil)
	_ libdns.RecordSetter   = (*Cloudflare)(nil)
)

// New returns a Cloudflare with the defaults.
func New() *Cloudflare {
	return &Cloudflare{Settings: httpapi.Defaults(), Endpoint: defaultEndpoint}
}

// Validate implements appliance.Validator.
func (p *Cloudflare) Validate() error {
	if err := p.Settings.Validate(); err != nil {
		return err
	}
	if token := p.APIToken.Reveal(); token == "" || strings.ContainsFunc(token, appliance.IsControl) {
		return &appliance.AttrError{Attr: "api_token", Msg: "is empty or not one line; make a token with the permissions Zone:DNS:Edit and Zone:Zone:Read"}
	}
	_, err := httpapi.ParseURL("endpoint", p.Endpoint)
	return err
}

// Provision implements appliance.Module.
func (p *Cloudflare) Provision(ctx *appliance.Context) (err error) {
	if p.endpoint, err = httpapi.ParseURL("endpoint", p.Endpoint); err != nil {
		return err
	}
	p.zones = make(map[string]zone)
	p.client, err = p.NewClient(ctx, p.APIToken)
	return err
}

// AppendRecords implements libdns.RecordAppender. When it fails, the records
// that were added before are returned with the error.
func (p *Cloudflare) AppendRecords(ctx context.Context, zoneName string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := added(zoneName, recs)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	z, err := p.zone(ctx, zoneName)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		body, err := newRecord(r)
		if err == nil {
			err = p.call(ctx, request{method: http.MethodPost, path: []string{"zones", z.ID, "dns_records"}, body: body, zone: z.Name}, nil)
		}
		if err != nil && !hasCode(err, alreadyThere...) {
			return provider.Typed(records[:i]), fmt.Errorf("record %s %s: %w", r.FQDN, r.Type, err)
		}
	}
	return provider.Typed(records), nil
}

// minTTL is the least that all plans take; 1 would mean "automatic".
const minTTL = time.Minute

// added completes the records, as they will be in the zone.
func added(zoneName string, recs []libdns.Record) ([]provider.Record, error) {
	records, err := provider.Added(zoneName, recs)
	for i := range records {
		records[i].TTL = max(records[i].TTL, minTTL)
	}
	return records, err
}

// DeleteRecords implements libdns.RecordDeleter.
func (p *Cloudflare) DeleteRecords(ctx context.Context, zoneName string, recs []libdns.Record) ([]libdns.Record, error) {
	wanted, err := provider.Complete(zoneName, recs)
	if err != nil || len(wanted) == 0 {
		return nil, err
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	z, err := p.zone(ctx, zoneName)
	if err != nil {
		return nil, err
	}
	var gone []provider.Record
	for _, w := range wanted {
		if w.TTL > 0 {
			w.TTL = max(w.TTL, minTTL)
		}
		deleted, err := p.deleteMatching(ctx, z, zoneName, w)
		gone = append(gone, deleted...)
		if err != nil {
			return provider.Typed(gone), fmt.Errorf("record %s %s: %w", w.FQDN, w.Type, err)
		}
	}
	return provider.Typed(gone), nil
}

func (p *Cloudflare) deleteMatching(ctx context.Context, z zone, zoneName string, w provider.Record) (gone []provider.Record, err error) {
	there, err := p.list(ctx, z, zoneName, w)
	if err != nil {
		return nil, err
	}
	for _, r := range there {
		if !w.Matches(r.Record) {
			continue
		}
		err := p.call(ctx, request{method: http.MethodDelete, path: []string{"zones", z.ID, "dns_records", r.id}, zone: z.Name}, nil)
		switch {
		case hasCode(err, noSuchRecord): // somebody was faster
		case err != nil:
			return gone, err
		default:
			gone = append(gone, r.Record)
		}
	}
	return gone, nil
}

// GetRecords implements libdns.RecordGetter. The records of DNSSEC, which
// Cloudflare makes itself, are not among them.
func (p *Cloudflare) GetRecords(ctx context.Context, zoneName string) ([]libdns.Record, error) {
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	z, err := p.zone(ctx, zoneName)
	if err != nil {
		return nil, err
	}
	there, err := p.list(ctx, z, zoneName, provider.Record{})
	if err != nil {
		return nil, err
	}
	all := make([]provider.Record, 0, len(there))
	for _, r := range there {
		all = append(all, r.Record)
	}
	return provider.Typed(all), nil
}

// SetRecords implements libdns.RecordSetter. It is atomic, as far as
// Cloudflare's batches are.
func (p *Cloudflare) SetRecords(ctx context.Context, zoneName string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := added(zoneName, recs)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	z, err := p.zone(ctx, zoneName)
	if err != nil {
		return nil, err
	}
	b, err := p.difference(ctx, z, zoneName, records)
	if err != nil {
		return nil, err
	}
	if len(b.Deletes)+len(b.Posts) > 0 {
		if err := p.call(ctx, request{method: http.MethodPost, path: []string{"zones", z.ID, "dns_records", "batch"}, body: b, zone: z.Name}, nil); err != nil {
			return nil, err
		}
	}
	return provider.Typed(records), nil
}

// A batch is carried out as a whole, the deletes first.
type batch struct {
	Deletes []recordID `json:"deletes,omitempty"`
	Posts   []record   `json:"posts,omitempty"`
}

type recordID struct {
	ID string `json:"id"`
}

// difference is what makes the records the only ones of their names and types.
func (p *Cloudflare) difference(ctx context.Context, z zone, zoneName string, records []provider.Record) (b batch, err error) {
	var keep []provider.Record
	sameSet := func(a, b provider.Record) bool { return a.FQDN == b.FQDN && a.Type == b.Type }
	for i, r := range records {
		if slices.IndexFunc(records, func(o provider.Record) bool { return sameSet(o, r) }) < i {
			continue // this set has been looked at
		}
		there, err := p.list(ctx, z, zoneName, r)
		if err != nil {
			return b, err
		}
		for _, have := range there {
			if contains(records, have.Record) && !contains(keep, have.Record) {
				keep = append(keep, have.Record)
				continue
			}
			b.Deletes = append(b.Deletes, recordID{have.id})
		}
	}
	for _, r := range records {
		if contains(keep, r) {
			continue
		}
		post, err := newRecord(r)
		if err != nil {
			return b, err
		}
		keep, b.Posts = append(keep, r), append(b.Posts, post)
	}
	return b, nil
}

func contains(records []provider.Record, r provider.Record) bool {
	return slices.ContainsFunc(records, r.Equal)
}
