package tlsrpt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// RecordName is where a domain says that it wants reports (RFC 8460, section 3).
func RecordName(domain string) string { return "_smtp._tls." + domain }

// Errors of a record. Both mean that the domain gets no report.
var (
	ErrNoRecord = errors.New("there is no TLSRPT record")
	ErrRecord   = errors.New("the TLSRPT record is malformed")
)

const (
	recordVersion = "v=TLSRPTv1"
	// maxEndpoints bounds the places of a record that are tried.
	maxEndpoints = 5
	// maxURI bounds one of them, in octets.
	maxURI = 1000
)

// An Endpoint is where a domain wants its reports: one of the two is set.
type Endpoint struct {
	Mailbox appliance.Mailbox
	URL     *url.URL // https
}

// String is the endpoint for the log.
func (e Endpoint) String() string {
	if e.URL != nil {
		return "https://" + e.URL.Host
	}
	return "mailto:" + e.Mailbox.String()
}

// ParseRecords returns the endpoints in the TXT records of a name, in their
// order. RFC 8460, section 3: "If multiple TXT records for "_smtp._tls" are
// returned by the resolver, records that do not begin with "v=TLSRPTv1;" are
// discarded. If the number of resulting records is not one, senders MUST assume
// the recipient domain does not implement TLSRPT."
func ParseRecords(texts []string) ([]Endpoint, error) {
	var records []string
	for _, t := range texts {
		if rest, ok := strings.CutPrefix(t, recordVersion); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			records = append(records, rest)
		}
	}
	switch len(records) {
	case 0:
		return nil, ErrNoRecord
	case 1:
		return parseRecord(records[0])
	}
	return nil, fmt.Errorf("%w: there are %d of them", ErrRecord, len(records))
}

// parseRecord parses `; rua=mailto:a@example.org,https://example.org/v1;`.
// Fields beside rua are ignored (they are extensions), and so is a second rua.
func parseRecord(s string) ([]Endpoint, error) {
	for field := range strings.SplitSeq(s, ";") {
		key, value, ok := strings.Cut(field, "=")
		if ok && strings.Trim(key, " \t") == "rua" {
			return parseRUA(value)
		}
	}
	return nil, fmt.Errorf("%w: it has no rua", ErrRecord)
}

// parseRUA parses the list of a rua. What cannot be used is passed over: a
// scheme of tomorrow does not lose a domain its reports.
func parseRUA(list string) ([]Endpoint, error) {
	var all []Endpoint
	var failed error
	for uri := range strings.SplitSeq(list, ",") {
		e, err := parseEndpoint(strings.Trim(uri, " \t"))
		switch {
		case err != nil && failed == nil:
			failed = err
		case err == nil && len(all) < maxEndpoints:
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrRecord, failed)
	}
	return all, nil
}

func parseEndpoint(s string) (e Endpoint, err error) {
	if len(s) > maxURI {
		return e, fmt.Errorf("a rua of %d octets", len(s))
	}
	u, err := url.Parse(s)
	if err != nil {
		return e, fmt.Errorf("rua %.80q is no URI", s)
	}
	switch {
	case u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Opaque == "":
		u.Fragment, u.RawFragment = "", ""
		return Endpoint{URL: u}, nil
	case u.Scheme == "mailto":
		return parseMailto(u)
	}
	return e, fmt.Errorf(`rua %.80q is neither "mailto:" nor "https://"`, s)
}

// parseMailto takes the one mailbox of a mailto URI (RFC 6068). Header fields
// that it may ask for are a stranger's, and are left out.
func parseMailto(u *url.URL) (e Endpoint, err error) {
	address, err := url.PathUnescape(u.Opaque)
	if err == nil {
		e.Mailbox, err = appliance.ParseMailbox(address)
	}
	switch {
	case err != nil:
		return Endpoint{}, fmt.Errorf("rua mailto:%.80q: %w", address, err)
	case e.Mailbox.Domain == "":
		return Endpoint{}, fmt.Errorf("rua mailto:%.80q has no domain", address)
	}
	return e, nil
}
