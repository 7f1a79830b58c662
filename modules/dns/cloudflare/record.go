package cloudflare

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

// A record is one as the API has it.
type record struct {
	ID       string  `json:"id,omitempty"`
	Type     string  `json:"type"`
	Name     string  `json:"name"`
	Content  string  `json:"content"`
	TTL      int64   `json:"ttl"`
	Priority *uint16 `json:"priority,omitempty"` // of MX and SRV, whose content begins after it
}

// newRecord makes the record of a request.
func newRecord(r provider.Record) (record, error) {
	raw := record{Type: r.Type, Name: strings.TrimSuffix(r.FQDN, "."), TTL: int64(r.TTL / time.Second)}
	switch r.Type {
	case "A", "AAAA":
		raw.Content = r.Data
	case "CNAME", "NS":
		raw.Content = strings.TrimSuffix(r.Data, ".")
	case "TXT":
		raw.Content = provider.Quote(r.Data)
	case "MX":
		preference, host, _ := strings.Cut(r.Data, " ")
		n, err := strconv.ParseUint(preference, 10, 16)
		if err != nil || host == "" {
			return raw, fmt.Errorf("%q is not the value of a record of type MX", provider.Said(r.Data))
		}
		priority := uint16(n)
		raw.Content, raw.Priority = strings.TrimSuffix(host, "."), &priority
	default:
		return raw, fmt.Errorf("records of type %s cannot be made here: A, AAAA, CNAME, MX, NS and TXT can", r.Type)
	}
	return raw, nil
}

// read makes a record of the zone.
func (raw record) read(zoneName string) (listed, error) {
	if !isID(raw.ID) {
		return listed{}, errors.New("Cloudflare lists a record without an identifier")
	}
	fqdn := strings.ToLower(strings.TrimSuffix(raw.Name, ".")) + "."
	data := raw.Content
	if raw.Priority != nil {
		data = fmt.Sprintf("%d %s", *raw.Priority, data)
	}
	if raw.Type == "TXT" {
		var err error
		if data, err = provider.Unquote(raw.Content); err != nil {
			return listed{}, fmt.Errorf("record %s: %w", fqdn, err)
		}
	}
	return listed{id: raw.ID, Record: provider.Record{FQDN: fqdn, RR: libdns.RR{
		Name: libdns.RelativeName(fqdn, zoneName), Type: raw.Type, Data: data, TTL: time.Duration(raw.TTL) * time.Second,
	}}}, nil
}
