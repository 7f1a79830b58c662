package tlsrpt

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/tlsrpt"
)

// Collected says what has been counted, by this process and by the others on
// the store, and is not reported yet. It looks up where the reports that it
// returns would go; what is not known when ctx ends is said to be unknown.
func (r *Reporter) Collected(ctx context.Context, want appliance.TLSReportFilter) (list appliance.TLSReportList, err error) {
	days, err := r.countedDays(ctx)
	if err != nil {
		return list, err
	}
	for _, day := range days {
		of, err := r.collectedOn(ctx, day, want.Domain)
		if err != nil {
			return list, err
		}
		list.Reports = append(list.Reports, of...)
	}
	if want.Limit < len(list.Reports) {
		list.Reports, list.More = list.Reports[:want.Limit], true
	}
	r.whereTo(ctx, list.Reports)
	return list, nil
}

// countedDays are the days of which something is counted here or in the store,
// the last one first.
func (r *Reporter) countedDays(ctx context.Context) ([]time.Time, error) {
	names, err := r.listDays(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	names = append(names, slices.Collect(maps.Keys(r.days))...)
	r.mu.Unlock()
	slices.Sort(names)
	var days []time.Time
	for _, name := range slices.Backward(slices.Compact(names)) {
		if day, err := time.Parse(time.DateOnly, name); err == nil {
			days = append(days, day)
		}
	}
	return days, nil
}

// collectedOn is what was counted on a day, for a domain or for all; most
// failures first.
func (r *Reporter) collectedOn(ctx context.Context, day time.Time, domain string) ([]appliance.TLSReport, error) {
	name := dayOf(day)
	all, err := r.countedOn(ctx, name)
	if err != nil {
		return nil, err
	}
	st, err := r.state(ctx, stateKey(name))
	if err != nil {
		return nil, err
	}
	var reports []appliance.TLSReport
	for of, results := range all {
		if domain != "" && of != domain {
			continue
		}
		one := appliance.TLSReport{Day: name, Domain: of, State: st.of(of), Due: day.Add(24*time.Hour + r.jitter)}
		one.GivenUp = one.Due.Add(retryTime)
		if one.State == appliance.TLSReportWaiting && name == dayOf(time.Now()) {
			one.State = appliance.TLSReportCounting
		}
		summed(&one, results)
		reports = append(reports, one)
	}
	slices.SortFunc(reports, func(a, b appliance.TLSReport) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), strings.Compare(a.Domain, b.Domain))
	})
	return reports, nil
}

// countedOn merges what others have saved of a day with what is in memory,
// which is newer than what was saved of it.
func (r *Reporter) countedOn(ctx context.Context, day string) (tally, error) {
	r.mu.Lock()
	own := make(tally)
	own.merge(r.days[day])
	r.mu.Unlock()
	except := ""
	if len(own) > 0 {
		except = dayKey(day) + r.id
	}
	all, _, err := r.load(ctx, day, except)
	if err == nil {
		all.merge(own)
	}
	return all, err
}

// of is how far the report to a domain is, of a day that is over.
func (s *state) of(domain string) appliance.TLSReportState {
	if _, done := slices.BinarySearch(s.Done, domain); done || s.Finished {
		return appliance.TLSReportDone
	}
	return appliance.TLSReportWaiting
}

// summed adds up the policies of a domain.
func summed(one *appliance.TLSReport, results []*result) {
	failures := make(map[string]int)
	for _, x := range results {
		one.Successful += x.Summary.Successful
		one.Failed += x.Summary.Failed
		for _, f := range x.Failures {
			failures[f.Type] += f.Sessions
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(failures)) {
		one.Failures = append(one.Failures, appliance.TLSReportFailure{Type: typ, Sessions: failures[typ]})
	}
	slices.SortStableFunc(one.Failures, func(a, b appliance.TLSReportFailure) int { return cmp.Compare(b.Sessions, a.Sessions) })
}

// whereTo fills in where the reports would go, a few look-ups at a time.
func (r *Reporter) whereTo(ctx context.Context, reports []appliance.TLSReport) {
	slots := make(chan struct{}, workers)
	var wg sync.WaitGroup
	for i := range reports {
		one := &reports[i]
		if one.State == appliance.TLSReportDone {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			endpoints, err := r.endpoints(ctx, one.Domain)
			if err != nil {
				one.Why = whyNot(err)
			}
			for _, e := range endpoints {
				one.To = append(one.To, e.String())
			}
		})
	}
	wg.Wait()
}

// whyNot says why there is nowhere to send a report.
func whyNot(err error) string {
	de, ok := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, tlsrpt.ErrNoRecord), ok && certain(err):
		return "the domain has no TLSRPT record"
	case errors.Is(err, tlsrpt.ErrRecord):
		return err.Error()
	case ok:
		return "the TLSRPT record cannot be looked up now: " + de.Err
	}
	return "the TLSRPT record cannot be looked up now: " + err.Error()
}
