package admin

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a question about reports of TLS. For each report that is shown,
// unless it is done with, the DNS is asked.
const (
	defaultTLSReports = 50
	maxTLSReports     = 1000
	tlsReportsTime    = 20 * time.Second
)

// A TLSReportPage is what has been counted for reports of TLS to domains.
type TLSReportPage struct {
	Reports []appliance.TLSReport `json:"reports"`
	More    bool                  `json:"more"`   // there are more than the limit
	Relays  []string              `json:"relays"` // that count
}

func (s *Server) tlsReports(w http.ResponseWriter, r *http.Request) error {
	want, err := tlsReportFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), tlsReportsTime)
	defer cancel()
	list, relays, err := s.opts.Appliance.TLSReports(ctx, want)
	if err != nil {
		return err
	}
	page := TLSReportPage{Reports: []appliance.TLSReport{}, More: list.More, Relays: []string{}} // [] in JSON, and not null
	page.Reports, page.Relays = append(page.Reports, list.Reports...), append(page.Relays, relays...)
	setWriteDeadline(w, writeTimeout) // the DNS may have taken its time
	writeJSON(w, http.StatusOK, page)
	return nil
}

func tlsReportFilterOf(q url.Values) (f appliance.TLSReportFilter, err error) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if name != "domain" && name != "limit" {
			return f, badRequest("%q is not one of domain and limit", name)
		}
	}
	f.Limit = defaultTLSReports
	if text := q.Get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > maxTLSReports {
			return f, badRequest("limit is %q; write a number from 1 to %d", text, maxTLSReports)
		}
	}
	if text := q.Get("domain"); text != "" {
		if f.Domain, err = appliance.ParseDomain(text); err != nil {
			return f, badRequest("domain is %q: %v", text, err)
		}
	}
	return f, nil
}

// TLSReports lists what has been counted for reports of TLS: of one domain, or
// of all if it is "". A limit of 0 is that of the server.
func (c *Client) TLSReports(ctx context.Context, domain string, limit int) (page TLSReportPage, err error) {
	q := make(url.Values)
	if domain != "" {
		q.Set("domain", domain)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return page, c.get(ctx, "/v1/tls/reports", q, &page)
}
