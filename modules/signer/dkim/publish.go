package dkim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// recordTTL is that of records which the dns block is handed.
const recordTTL = time.Hour

// publish hands a record to the dns block, to the zone that it was looked for
// in. Nothing is at its name.
func (d *DKIM) publish(ctx context.Context, s *sight, r appliance.DNSRecord) error {
	provider := d.Publish.To()
	records := s.libdns(r.Value, recordTTL)
	var err error
	if setter, ok := provider.(libdns.RecordSetter); ok {
		_, err = setter.SetRecords(ctx, s.zone+".", records) // twice is as good as once
	} else {
		_, err = provider.AppendRecords(ctx, s.zone+".", records)
	}
	return d.blame(err)
}

// withdraw has the dns block delete a record.
func (d *DKIM) withdraw(ctx context.Context, s *sight, value string) error {
	_, err := d.Publish.To().DeleteRecords(ctx, s.zone+".", s.libdns(value, 0))
	return d.blame(err)
}

// blame says whose error it is. What the dns block says may be long.
func (d *DKIM) blame(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%v: %w", d.Publish.Addr(), brief{err})
}

// A brief error is one that is cut after some hundred characters.
type brief struct{ err error }

func (b brief) Error() string { return fmt.Sprintf("%.300s", b.err.Error()) }
func (b brief) Unwrap() error { return b.err }

// libdns is the record as a dns block wants it.
func (s *sight) libdns(value string, ttl time.Duration) []libdns.Record {
	return []libdns.Record{libdns.TXT{Name: libdns.RelativeName(s.name+".", s.zone+"."), TTL: ttl, Text: value}}
}

// againTime is how long the servers of a zone may take to show what was
// published before it counts as lost.
const againTime = 24 * time.Hour

// offer publishes the record of a next or current key where that is wanted and
// has not been done, and once more where nothing is left of it: after a domain
// was given up and taken back, or a backup restored that is older than the
// deletion of the record. What somebody else has put at its name stays: two
// keys at one name are none (RFC 6376, section 3.6.2.2). So does what no server
// could be asked about: a dns block may put the record in place of all others.
func (s *step) offer(k *lifeKey, seen *sight) error {
	if !s.d.Publish.IsSet() || seen.zone == "" {
		return nil
	}
	lost := seen.absent() && s.now.Sub(k.Published) >= againTime
	switch {
	case !k.Published.IsZero() && !lost:
		return nil
	case seen.ours > 0:
		k.Published = s.now
		return nil
	case len(seen.other) > 0:
		return errors.New("the record is not published, because there is another one at its name")
	case !seen.absent():
		return errors.New("the record is not published before a name server has said that there is none at its name")
	}
	if err := s.d.publish(s.ctx, seen, s.record(k)); err != nil {
		return err
	}
	k.Published = s.now
	s.say("the record of a DKIM key is published", k)
	return nil
}
