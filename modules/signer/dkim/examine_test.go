package dkim

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestExamine: what a check-up says of keys that wait for somebody, and what to
// do.
func TestExamine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start(rotating)
		found := func(status appliance.Standing, text, fix string) {
			t.Helper()
			group := d.Examinations()
			all := group[0].Run(t.Context())
			if len(group) != 1 || len(all) != 1 || all[0].Status != status || all[0].Domain != "example.com" ||
				!strings.Contains(all[0].Text, text) || !strings.HasPrefix(all[0].Fix, fix) {
				t.Errorf("%+v, want %s: %s", all, status, text)
			}
		}
		w.show(d.DNSRecords()[0], both...)
		found(appliance.FoundOK, first+" is current", "")
		time.Sleep(11 * day)
		found(appliance.FoundOK, first+" is current, "+after+" is next", "")
		time.Sleep(3 * day)
		found(appliance.FoundWarn, after+" is next since 2000-01-11 00:0", "publish its record at every name server, or give the key up with \"waxwing dkim retire example.com "+after+"\":\n"+after+"._domainkey.example.com. IN TXT \"v=DKIM1; k=ed25519; p=")
		w.show(key(d, after).Record, both...)
		time.Sleep(5 * time.Hour)
		found(appliance.FoundOK, after+" is current, "+first+" is old", "")
		time.Sleep(9 * day)
		found(appliance.FoundOK, first+" is retired", "")
		time.Sleep(2 * day)
		found(appliance.FoundWarn, first+" is retired since", "delete this record from the DNS: "+first+"._domainkey.example.com")
	})
}

// TestMetrics: the states as numbers, without those of keys that are gone.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start(rotating)
		w.show(d.DNSRecords()[0], both...)
		time.Sleep(10*day + time.Hour)
		want := `# HELP waxwing_dkim_key_published Whether all name servers showed the record of a next or current DKIM key when they were last asked: 1 or 0.
# TYPE waxwing_dkim_key_published gauge
waxwing_dkim_key_published{domain="example.com",selector="` + first + `",state="current"} 1
waxwing_dkim_key_published{domain="example.com",selector="` + after + `",state="next"} 0
`
		check(t, testutil.CollectAndCompare((*keyMetrics)(d), strings.NewReader(want), "waxwing_dkim_key_published"))
		if n := testutil.CollectAndCount((*keyMetrics)(d)); n != 4 {
			t.Errorf("%d metrics", n)
		}
		if n := testutil.CollectAndCount((*keyMetrics)(configured())); n != 0 {
			t.Errorf("%d metrics of one that is not provisioned", n)
		}
	})
}
