package mtasts

import (
	"errors"
	"fmt"
	"strings"
)

// RecordName is where a domain says that it has a policy (RFC 8461, section 3.1).
func RecordName(domain string) string { return "_mta-sts." + domain }

// Errors of a record. Both mean that the domain has no policy.
var (
	ErrNoRecord = errors.New("there is no MTA-STS record")
	ErrRecord   = errors.New("the MTA-STS record is malformed")
)

const recordVersion = "v=STSv1"

// ParseRecords returns the id in the TXT records of a name. RFC 8461, section
// 3.1: "If multiple TXT records for "_mta-sts" are returned by the resolver,
// records that do not begin with "v=STSv1;" are discarded. If the number of
// resulting records is not one, or if the resulting record is syntactically
// invalid, senders MUST assume the recipient domain does not have an available
// MTA-STS Policy".
func ParseRecords(texts []string) (id string, err error) {
	var records []string
	for _, t := range texts {
		// ";" may come after white space, as between all fields.
		if rest, ok := strings.CutPrefix(t, recordVersion); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			records = append(records, t)
		}
	}
	switch len(records) {
	case 0:
		return "", ErrNoRecord
	case 1:
		return parseRecord(records[0])
	}
	return "", fmt.Errorf("%w: there are %d of them", ErrRecord, len(records))
}

// parseRecord parses `v=STSv1; id=20260831085700Z;`. Fields beside the id are
// ignored; of a field that is there twice, the first counts.
func parseRecord(s string) (id string, err error) {
	fields := strings.Split(strings.TrimPrefix(s, recordVersion), ";")[1:]
	for i, field := range fields {
		field = strings.Trim(field, " \t")
		if field == "" && i == len(fields)-1 {
			break // the final semicolon
		}
		key, value, ok := strings.Cut(field, "=")
		if !ok || !isFieldName(key) || !isFieldValue(value) {
			return "", fmt.Errorf("%w: field %.80q", ErrRecord, field)
		}
		if key == "id" && id == "" {
			if !isID(value) {
				return "", fmt.Errorf("%w: id %.80q", ErrRecord, value)
			}
			id = value
		}
	}
	if id == "" {
		return "", fmt.Errorf("%w: it has no id", ErrRecord)
	}
	return id, nil
}

// isID: 1*32(ALPHA / DIGIT).
func isID(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) })
}

// isFieldName: (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".").
func isFieldName(s string) bool {
	return s != "" && len(s) <= 32 && isAlnum(rune(s[0])) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("_-.", r) })
}

// isFieldValue: 1*(%x21-3A / %x3C / %x3E-7E), which is all that can be seen
// but "=" and ";".
func isFieldValue(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '=' || r == ';' })
}

func isAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
