// Package provider is what the dns modules have in common: the time-out, and
// the rules of libdns about zones, names and records, kept in one place.
//
// Names inside a module are complete, in small letters, and end with a dot:
// [Complete] makes them of what a caller hands in and refuses what lies
// outside of the zone. Values of TXT records are plain octets, whatever the
// operator's own notation for them: [Quote] and [Unquote] are that of zone
// files.
package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Settings are the attributes that all dns modules have in common. A module
// embeds them.
type Settings struct {
	// How long one change of the records may take. Default 30s, at most 10m.
	Timeout time.Duration `hcl:"timeout,optional"`
}

// Defaults are the settings of a block that has none.
func Defaults() Settings { return Settings{Timeout: 30 * time.Second} }

// Validate checks the settings. The error is an [appliance.AttrError].
func (s *Settings) Validate() error {
	if s.Timeout < time.Second || s.Timeout > 10*time.Minute {
		return &appliance.AttrError{Attr: "timeout", Msg: `must be between "1s" and "10m"`}
	}
	return nil
}

// Bound limits one call to the time-out.
func (s *Settings) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.Timeout, timeoutError{s.Timeout})
}

// A timeoutError is a context.DeadlineExceeded that says whose deadline it was.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string {
	return fmt.Sprintf("no answer within %v, the time-out of this dns block", e.after)
}

func (timeoutError) Unwrap() error { return context.DeadlineExceeded }

// A Record is a record with its complete name.
type Record struct {
	libdns.RR        // Name is relative to the zone, TTL in whole seconds
	FQDN      string // complete, in small letters, with the final dot
}

// The limits of RFC 1035, section 2.3.4, in octets.
const (
	maxName  = 254 // in text, with the final dot
	maxLabel = 63
	maxText  = 255 // a character-string of a TXT record
)

// maxData bounds the value of a record, in octets. The largest that mail needs
// are keys of some thousand.
const maxData = 16 << 10

// maxRecords bounds the records of one call.
const maxRecords = 100

// DefaultTTL is the TTL of a record that was added without one. The records
// that answer a challenge are gone again within minutes.
const DefaultTTL = time.Minute

// Zone returns the complete name of a zone.
func Zone(zone string) (string, error) {
	zone = strings.ToLower(strings.TrimSuffix(zone, ".")) + "."
	if err := checkName(zone); err != nil {
		return "", fmt.Errorf("zone %.80q: %w", zone, err)
	}
	return zone, nil
}

// Added returns the records to add to a zone: each has a type, a value and a
// TTL.
func Added(zone string, recs []libdns.Record) ([]Record, error) {
	all, err := Complete(zone, recs)
	if err != nil {
		return nil, err
	}
	for i := range all {
		switch r := &all[i]; {
		case r.Type == "":
			return nil, fmt.Errorf("record %s without a type", r.FQDN)
		case r.Data == "":
			return nil, fmt.Errorf("record %s %s without a value", r.FQDN, r.Type)
		case r.TTL == 0:
			r.TTL = DefaultTTL
		}
	}
	return all, nil
}

// Complete returns the records with their complete names. The error is that
// one of them is none, or is none of the zone.
func Complete(zone string, recs []libdns.Record) ([]Record, error) {
	zone, err := Zone(zone)
	if err != nil {
		return nil, err
	}
	if len(recs) > maxRecords {
		return nil, fmt.Errorf("%d records at once, at most %d are allowed", len(recs), maxRecords)
	}
	all := make([]Record, 0, len(recs))
	for _, rec := range recs {
		r := Record{RR: rec.RR()}
		r.Type = strings.ToUpper(r.Type)
		r.TTL = r.TTL.Truncate(time.Second)
		r.FQDN = strings.ToLower(libdns.AbsoluteName(r.Name, zone))
		if err := check(r, zone); err != nil {
			return nil, err
		}
		r.Name = libdns.RelativeName(r.FQDN, zone)
		all = append(all, r)
	}
	return all, nil
}

func check(r Record, zone string) error {
	if r.Name == "" {
		return errors.New(`record without a name; that of the zone itself is "@"`)
	}
	if err := checkName(r.FQDN); err != nil {
		return fmt.Errorf("record %.80q: %w", r.FQDN, err)
	}
	switch {
	case r.FQDN != zone && !strings.HasSuffix(r.FQDN, "."+zone):
		return fmt.Errorf("%s is not in the zone %s", r.FQDN, zone)
	case r.TTL < 0 || r.TTL > 1<<31*time.Second: // RFC 2181, section 8
		return fmt.Errorf("record %s with a TTL of %v", r.FQDN, r.TTL)
	case len(r.Data) > maxData:
		return fmt.Errorf("record %s %s with a value of %d octets, at most %d are allowed", r.FQDN, r.Type, len(r.Data), maxData)
	case strings.Trim(r.Type, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "":
		return fmt.Errorf("record %s of type %.20q", r.FQDN, r.Type)
	case r.Type != "TXT" && strings.ContainsFunc(r.Data, func(c rune) bool { return c == utf8.RuneError || appliance.IsControl(c) }):
		return fmt.Errorf("record %s %s with a value that is not text", r.FQDN, r.Type)
	}
	return nil
}

// checkName lets pass what operators' interfaces agree on: letters, digits,
// hyphens, underscores, and the asterisk of a wildcard.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("name of %d octets, at most %d are allowed", len(name), maxName)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > maxLabel {
			return fmt.Errorf("label of %d octets, between 1 and %d are allowed", len(label), maxLabel)
		}
		if i := strings.IndexFunc(label, strange); i >= 0 {
			return fmt.Errorf("%q has no place in a name", label[i])
		}
	}
	return nil
}

func strange(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '*'
}

// Matches says whether a record that is there is one that shall be deleted:
// type, TTL and value count only where they are given, as libdns has it.
func (r Record) Matches(have Record) bool {
	return r.FQDN == have.FQDN &&
		(r.Type == "" || r.Type == have.Type) &&
		(r.TTL == 0 || r.TTL == have.TTL) &&
		(r.Data == "" || same(have.Type, r.Data, have.Data))
}

// Equal says whether two records say the same.
func (r Record) Equal(have Record) bool {
	return r.FQDN == have.FQDN && r.Type == have.Type && r.TTL == have.TTL && same(r.Type, r.Data, have.Data)
}

// same says whether two values of a type are one: outside of TXT, space, case
// and the final dot of a name mean nothing.
func same(typ, a, b string) bool {
	return a == b || typ != "TXT" && slices.EqualFunc(strings.Fields(a), strings.Fields(b), func(a, b string) bool {
		return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
	})
}

// Typed returns the records as libdns hands them out: with the Go type of
// their own DNS type.
func Typed(records []Record) []libdns.Record {
	var all []libdns.Record
	for _, r := range records {
		typed, err := r.Parse()
		if err != nil {
			typed = r.RR // what libdns cannot read is handed on as it is
		}
		all = append(all, typed)
	}
	return all
}
