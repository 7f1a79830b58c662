package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// TestTLSReports: what is asked for reaches the relay, and what it has counted
// comes back with its address.
func TestTLSReports(t *testing.T) {
	h := open(t, "unix")
	const none = "\r\n\r\n{\"reports\":[],\"more\":false,\"relays\":[]}\n"
	if got := h.request(t, raw("GET /v1/tls/reports", "", "")); !strings.HasSuffix(got, none) {
		t.Errorf("no relay counts: %s", got)
	}
	one := appliance.TLSReport{Day: "2026-11-23", Domain: "b.test", State: appliance.TLSReportCounting, Successful: 3, To: []string{"mailto:t@b.test"}}
	var asked appliance.TLSReportFilter
	h.relay.counted = func(want appliance.TLSReportFilter) (appliance.TLSReportList, error) {
		asked = want
		return appliance.TLSReportList{Reports: []appliance.TLSReport{one}, More: true}, nil
	}
	page, err := h.client.TLSReports(t.Context(), "", 0)
	one.Relay = "relay.out"
	if diff := cmp.Diff(admin.TLSReportPage{Reports: []appliance.TLSReport{one}, More: true, Relays: []string{"relay.out"}}, page); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if asked != (appliance.TLSReportFilter{Limit: 50}) {
		t.Errorf("by default %+v", asked)
	}
	if _, err := h.client.TLSReports(t.Context(), "Bücher.Test", 1000); err != nil || asked != (appliance.TLSReportFilter{Domain: "xn--bcher-kva.test", Limit: 1000}) {
		t.Errorf("%+v, %v", asked, err)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "domain=a..b", "day=1"} {
		if got := h.request(t, raw("GET /v1/tls/reports?"+query, "", "")); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s: %s", query, got)
		}
	}
	h.relay.counted = func(appliance.TLSReportFilter) (appliance.TLSReportList, error) {
		return appliance.TLSReportList{}, errors.New("the store is closed")
	}
	_, err = h.client.TLSReports(t.Context(), "", 0)
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusInternalServerError || !strings.Contains(e.Message, "relay.out") {
		t.Errorf("a relay that fails: %v", err)
	}
}
