package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A report is what one domain is told of one day.
type report struct {
	Organization string
	Contact      string // mailbox
	Submitter    string // our domain
	Instance     string // of the relay: two of them report apart
	Domain       string // who is told
	Day          time.Time
	Results      []*result
}

// id is the same for the same report: whoever gets it twice can tell.
func (r *report) id() string {
	return fmt.Sprintf("%s.%s.%s@%s", r.Day.Format(time.DateOnly), r.Domain, r.Instance, r.Submitter)
}

// last is the last second of the day.
func (r *report) last() time.Time { return r.Day.Add(24*time.Hour - time.Second) }

// filename is that of RFC 8460, section 5.1:
//
//	sender "!" policy-domain "!" begin-timestamp "!" end-timestamp [ "!" unique-id ] "." extension
func (r *report) filename() string {
	name := fmt.Sprintf("%s!%s!%d!%d", r.Submitter, r.Domain, r.Day.Unix(), r.last().Unix())
	if id := token(r.Instance); id != "" {
		name += "!" + id
	}
	return name + ".json.gz"
}

// token keeps what the unique-id of a file name may have: ALPHA and DIGIT.
func token(s string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return -1
	}, s)
}

type document struct {
	Organization string    `json:"organization-name"`
	Range        dateRange `json:"date-range"`
	Contact      string    `json:"contact-info"`
	ID           string    `json:"report-id"`
	Policies     []*result `json:"policies"`
}

type dateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// json is the document of RFC 8460, section 4.4.
func (r *report) json() ([]byte, error) {
	return json.MarshalIndent(document{
		Organization: r.Organization, Range: dateRange{r.Day, r.last()}, Contact: r.Contact, ID: r.id(), Policies: r.Results,
	}, "", "  ")
}

// compressed is the document as it travels (RFC 8460, section 5.2).
func (r *report) compressed() ([]byte, error) {
	text, err := r.json()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
