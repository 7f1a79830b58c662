package appliance

import (
	"context"
	"errors"
	"time"
)

// A TLSReporter is a Relay that can count how TLS with other mail servers went,
// to report it to their domains (RFC 8460).
type TLSReporter interface {
	Relay
	// CollectedTLS says what has been counted and not yet reported. It asks the
	// DNS for the records of the domains that it returns. The error is
	// ErrNoTLSReports if the relay counts nothing. It may be called after Start.
	CollectedTLS(ctx context.Context, want TLSReportFilter) (TLSReportList, error)
}

// ErrNoTLSReports means that a relay counts nothing.
var ErrNoTLSReports = errors.New("no reports of TLS are wanted: write a tls_reports block")

// A TLSReportFilter selects from what has been counted.
type TLSReportFilter struct {
	Domain string // in lower case and A-labels; "" is all
	Limit  int    // how many reports at most; more than 0
}

// A TLSReportList is what one relay has counted: the latest day first, of each
// day the domains with most failures first.
type TLSReportList struct {
	Reports []TLSReport
	More    bool // there are more than the filter lets through
}

// A TLSReport is what has been counted for one domain on one day.
type TLSReport struct {
	Relay      string             `json:"relay,omitempty"` // that has counted, "relay.internet"
	Day        string             `json:"day"`             // in UTC, "2026-11-23"
	Domain     string             `json:"domain"`          // of recipients
	State      TLSReportState     `json:"state"`
	Successful int                `json:"successful"` // sessions
	Failed     int                `json:"failed"`     // sessions
	Failures   []TLSReportFailure `json:"failures,omitempty"`
	// Due is from when on the report is sent, by this server; GivenUp is when it
	// is not tried any more.
	Due     time.Time `json:"due,omitzero"`
	GivenUp time.Time `json:"given_up,omitzero"`
	// To is where it would be sent today: "mailto:tls@example.org", or the host
	// of a web address. If it is empty, Why says why.
	To  []string `json:"to,omitempty"`
	Why string   `json:"why,omitempty"`
}

// A TLSReportState is how far a report is.
type TLSReportState string

// The states of a report.
const (
	TLSReportCounting TLSReportState = "counting" // its day is not over
	TLSReportWaiting  TLSReportState = "waiting"  // until it is due, or for another attempt
	TLSReportDone     TLSReportState = "done"     // sent, or the domain wanted none
)

// A TLSReportFailure is how many sessions ended in one way.
type TLSReportFailure struct {
	Type     string `json:"type"` // of RFC 8460, section 4.3: "certificate-expired"
	Sessions int    `json:"sessions"`
}

// TLSReports is what the relays of the configuration have counted, in the order
// of the graph, and the addresses of those that count.
func (a *Appliance) TLSReports(ctx context.Context, want TLSReportFilter) (all TLSReportList, relays []string, err error) {
	for _, n := range a.Graph().of(KindRelay) {
		r, ok := n.Module.(TLSReporter)
		if !ok {
			continue
		}
		list, err := r.CollectedTLS(ctx, want)
		if errors.Is(err, ErrNoTLSReports) {
			continue
		}
		if err != nil {
			return all, relays, &InstanceError{n.Addr, err}
		}
		for i := range list.Reports {
			list.Reports[i].Relay = n.Addr.String()
		}
		relays = append(relays, n.Addr.String())
		all.Reports = append(all.Reports, list.Reports...)
		all.More = all.More || list.More
	}
	return all, relays, nil
}
