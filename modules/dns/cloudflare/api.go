package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/waxwing-mail/waxwing/modules/dns/internal/httpapi"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

// noSuchRecord is Cloudflare's code for a record that is gone.
const noSuchRecord = 81044

// alreadyThere are those for a record that is there already.
var alreadyThere = []int{81057, 81058}

// The limits of a list.
const (
	perPage  = 100
	maxPages = 200
)

// A request is one call of the API.
type request struct {
	method string
	path   []string
	query  url.Values
	body   any
	zone   string // what it is about, for errors
}

// An envelope is around every answer.
type envelope struct {
	Success bool            `json:"success"`
	Errors  []apiError      `json:"errors"`
	Result  json.RawMessage `json:"result"`
	Info    struct {
		Page       int `json:"page"`
		TotalPages int `json:"total_pages"`
	} `json:"result_info"`
}

type apiError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// A failure is an answer that says no.
type failure struct {
	codes []int
	text  string
}

func (f *failure) Error() string { return f.text }

// hasCode says whether err is an answer with nothing but one of the codes.
func hasCode(err error, codes ...int) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && len(f.codes) > 0 && !slices.ContainsFunc(f.codes, func(c int) bool { return !slices.Contains(codes, c) })
}

// call makes one call and puts the result, if it is wanted, into result.
func (p *Cloudflare) call(ctx context.Context, r request, result any) error {
	_, err := p.page(ctx, r, result)
	return err
}

// page is call for a result that has pages: it returns how many.
func (p *Cloudflare) page(ctx context.Context, r request, result any) (pages int, err error) {
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return 0, err
		}
	}
	u := p.endpoint.JoinPath(r.path...)
	u.RawQuery = r.query.Encode()
	answer, err := p.client.Do(ctx, httpapi.Request{
		Method: r.method, URL: u, Body: body,
		Header: http.Header{"Authorization": {"Bearer " + p.APIToken.Reveal()}},
	})
	if err != nil {
		return 0, err
	}
	var e envelope
	broken := json.Unmarshal(answer.Body, &e)
	switch {
	case !answer.OK() || broken == nil && !e.Success:
		if answer.Status == http.StatusForbidden || answer.Status == http.StatusNotFound {
			p.forget(r.zone)
		}
		return 0, explain(answer, e, r.zone)
	case broken != nil:
		return 0, answer.Misunderstood(broken)
	}
	if result != nil {
		if err := json.Unmarshal(e.Result, result); err != nil {
			return 0, answer.Misunderstood(err)
		}
	}
	return e.Info.TotalPages, nil
}

// explain makes the error of an answer that says no, with what to do.
func explain(answer *httpapi.Answer, e envelope, zoneName string) error {
	f := new(failure)
	var said []string
	for _, one := range e.Errors[:min(len(e.Errors), 5)] {
		f.codes = append(f.codes, one.Code)
		said = append(said, fmt.Sprintf("%s (%d)", answer.Said(one.Message), one.Code))
	}
	f.text = fmt.Sprintf("Cloudflare answers %d: %s", answer.Status, strings.Join(said, ", "))
	if len(said) == 0 {
		f.text = answer.Err("").Error()
	}
	if hint := advice(answer.Status, zoneName); hint != "" {
		f.text += "; " + hint
	}
	return f
}

func advice(status int, zoneName string) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if zoneName == "" {
			return "api_token must be a token that is valid and has the permissions Zone:DNS:Edit and Zone:Zone:Read"
		}
		if status != http.StatusBadRequest {
			return fmt.Sprintf("api_token needs the permissions Zone:DNS:Edit and Zone:Zone:Read for %s", zoneName)
		}
	case http.StatusTooManyRequests:
		return "there were too many requests with this account; it will be possible again in some minutes"
	}
	return ""
}

// A zone is a zone of Cloudflare.
type zone struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// maxZones bounds the zones that are remembered.
const maxZones = 1000

// zone finds the zone of Cloudflare that holds the names of a zone: the one of
// this name, or the nearest above it.
func (p *Cloudflare) zone(ctx context.Context, zoneName string) (zone, error) {
	full, err := provider.Zone(zoneName)
	if err != nil {
		return zone{}, err
	}
	p.mu.Lock()
	z, ok := p.zones[full]
	p.mu.Unlock()
	if ok {
		return z, nil
	}
	for name := strings.TrimSuffix(full, "."); name != ""; _, name, _ = strings.Cut(name, ".") {
		var found []zone
		if err := p.call(ctx, request{method: http.MethodGet, path: []string{"zones"}, query: url.Values{"name": {name}}}, &found); err != nil {
			return zone{}, fmt.Errorf("zone %s: %w", name, err)
		}
		if i := slices.IndexFunc(found, func(z zone) bool { return z.Name == name && isID(z.ID) }); i >= 0 {
			p.remember(full, found[i])
			return found[i], nil
		}
	}
	return zone{}, fmt.Errorf("api_token sees no zone %s at Cloudflare, nor one above it; it needs the permissions Zone:DNS:Edit and Zone:Zone:Read for that zone", full)
}

func (p *Cloudflare) remember(name string, z zone) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.zones) >= maxZones {
		clear(p.zones)
	}
	p.zones[name] = z
}

// forget makes the next call look for the zone again: it may have moved to
// another account, where it has another identifier.
func (p *Cloudflare) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.zones, func(_ string, z zone) bool { return z.Name == name })
}

// isID says whether an identifier can be a part of a path.
func isID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// A listed record is one of the zone, with what deletes it.
type listed struct {
	provider.Record
	id string
}

// list returns the records of the zone with the name and the type of want, as
// far as it has them. Their names are relative to zoneName.
func (p *Cloudflare) list(ctx context.Context, z zone, zoneName string, want provider.Record) ([]listed, error) {
	query := url.Values{"per_page": {strconv.Itoa(perPage)}, "order": {"name"}}
	if want.FQDN != "" {
		query.Set("name.exact", strings.TrimSuffix(want.FQDN, "."))
	}
	if want.Type != "" {
		query.Set("type", want.Type)
	}
	var all []listed
	for n := 1; n <= maxPages; n++ {
		query.Set("page", strconv.Itoa(n))
		var page []record
		pages, err := p.page(ctx, request{method: http.MethodGet, path: []string{"zones", z.ID, "dns_records"}, query: query, zone: z.Name}, &page)
		if err != nil {
			return nil, err
		}
		for _, raw := range page {
			r, err := raw.read(zoneName)
			if err != nil {
				return nil, err
			}
			// What the filter let through for another reason is left alone.
			if (want.FQDN == "" || r.FQDN == want.FQDN) && (want.Type == "" || r.Type == want.Type) {
				all = append(all, r)
			}
		}
		if len(page) == 0 || n >= pages {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the zone %s has more than %d records", z.Name, maxPages*perPage)
}
