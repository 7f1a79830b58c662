package tlsrpt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

// collected is what r says, a line for each report: "01-02 b.test waiting 1 2
// expired=2 to mailto:…".
func collected(t *testing.T, r *Reporter, want appliance.TLSReportFilter) string {
	t.Helper()
	list, err := r.Collected(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, x := range list.Reports {
		line := fmt.Sprintf("%s %s %s %d %d", x.Day[5:], x.Domain, x.State, x.Successful, x.Failed)
		for _, f := range x.Failures {
			line += fmt.Sprintf(" %s=%d", f.Type, f.Sessions)
		}
		if len(x.To) > 0 {
			line += " to " + strings.Join(x.To, ",")
		}
		if x.Why != "" {
			line += " not: " + x.Why
		}
		if wait := x.Due.Sub(mustDay(t, x.Day)); wait < 24*time.Hour+restTime || wait > 24*time.Hour+restTime+spreadTime || x.GivenUp.Sub(x.Due) != retryTime {
			line += fmt.Sprintf(" due %s, given up %s", x.Due, x.GivenUp)
		}
		lines = append(lines, line)
	}
	if list.More {
		lines = append(lines, "more")
	}
	return strings.Join(lines, "\n")
}

func mustDay(t *testing.T, name string) time.Time {
	t.Helper()
	day, err := time.Parse(time.DateOnly, name)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func wantLines(t *testing.T, got string, want ...string) {
	t.Helper()
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// TestCollected: what is counted is seen at once, by every process on the
// store, with where it would go, until it has gone there.
func TestCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.records["c.test"], w.records["d.test"], w.records["e.test"] = "SERVFAIL", "https://d.test/x,mailto:t@d.test", "gopher://e.test"
		r, other := w.start(t, nil), w.start(t, nil)
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 9}), "")
		expired := &Failure{Type: "certificate-expired", Host: "mx.b.test"}
		r.Record("b.test", byNone, nil)
		r.Record("b.test", bySTS, expired)
		r.Record("b.test", bySTS, &Failure{Type: "certificate-expired", Host: "mx2.b.test"})
		r.Record("b.test", byDANE, &Failure{Type: "starttls-not-supported"})
		for _, d := range []string{"silent.test", "c.test", "d.test", "e.test"} {
			r.Record(d, byNone, nil)
		}
		other.Record("d.test", byNone, expired)
		b := "01-01 b.test counting 1 3 certificate-expired=2 starttls-not-supported=1 to mailto:reports@b.test"
		rest := []string{
			"01-01 c.test counting 1 0 not: the TLSRPT record cannot be looked up now: server misbehaving",
			"01-01 d.test counting 1 0 to https://d.test,mailto:t@d.test",
			`01-01 e.test counting 1 0 not: the TLSRPT record is malformed: rua "gopher://e.test" is neither "mailto:" nor "https://"`,
			"01-01 silent.test counting 1 0 not: the domain has no TLSRPT record",
		}
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 9}), append([]string{b}, rest...)...)
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 1}), b, "more")
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 1, Domain: "silent.test"}), rest[3])

		time.Sleep(saveEvery + time.Second) // both have saved
		d := "01-01 d.test counting 1 1 certificate-expired=1 to https://d.test,mailto:t@d.test"
		all := []string{b, d, rest[0], rest[2], rest[3]}
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 9}), all...)
		wantLines(t, collected(t, other, appliance.TLSReportFilter{Limit: 9}), all...)

		until(2, 0)
		r.Record("b.test", byNone, nil)
		for i := range all {
			all[i] = strings.Replace(all[i], "counting", "waiting", 1)
		}
		today := "01-02 b.test counting 1 0 to mailto:reports@b.test"
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 9}), slices.Concat([]string{today}, all)...)

		until(2, 5) // sent, but to c.test
		if got, want := w.reports(), reportOf(1)+", https://d.test/x"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		wantLines(t, collected(t, r, appliance.TLSReportFilter{Limit: 9}), today,
			"01-01 b.test done 1 3 certificate-expired=2 starttls-not-supported=1",
			"01-01 d.test done 1 1 certificate-expired=1",
			strings.Replace(rest[0], "counting", "waiting", 1),
			"01-01 e.test done 1 0", "01-01 silent.test done 1 0")
	})
}

// TestMetrics: sessions by result, and what became of reports.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.start(t, nil)
		count := func(want string) {
			t.Helper()
			got := fmt.Sprintf("%v %v %v", testutil.ToFloat64(r.met.reports.WithLabelValues("sent")),
				testutil.ToFloat64(r.met.reports.WithLabelValues("failed")), testutil.ToFloat64(r.met.reports.WithLabelValues("given_up")))
			if got != want {
				t.Errorf("sent, failed and given up: %s, want %s", got, want)
			}
		}
		r.Record("b.test", byNone, nil)
		r.Record("b.test", byNone, nil)
		r.Record("b.test", byNone, &Failure{Type: "certificate-expired"})
		r.Record("silent.test", byNone, nil)
		for result, want := range map[string]float64{"ok": 3, "certificate-expired": 1, "no_room": 0} {
			if got := testutil.ToFloat64(r.met.sessions.WithLabelValues(result)); got != want {
				t.Errorf("%v sessions are %s, want %v", got, result, want)
			}
		}
		until(2, 5)
		count("1 0 0")
		w.set(func() { w.fail = true })
		r.Record("b.test", byNone, nil)
		until(3, 5)
		if n := testutil.ToFloat64(r.met.reports.WithLabelValues("failed")); n < 1 {
			t.Error("an attempt in vain is not counted")
		}
		until(5, 6)
		if n := testutil.ToFloat64(r.met.reports.WithLabelValues("given_up")); n != 1 {
			t.Errorf("%v are given up", n)
		}
	})
}
