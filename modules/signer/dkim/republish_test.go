package dkim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestPublishUnseen: while no name server can be asked, nobody knows what is at
// the name of a record, and nothing is written there.
func TestPublishUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.show(appliance.DNSRecord{Name: first + "._domainkey.example.com", Value: rsaKey.Record("x", "y").Value}, both...)
		w.set(func() { w.down[both[0]], w.down[both[1]] = true, true })
		d := w.start(w.publishes)
		time.Sleep(2 * time.Hour)
		if len(w.written()) > 0 {
			t.Errorf("written without a look: %v", w.written())
		}
		w.wantWaits(d, first, "its record: ns1.example.com cannot be asked: no answer; ns2.example.com cannot be asked: no answer; the record is not published before a name server")
		w.hide(first+"._domainkey.example.com", both...)
		w.set(func() { w.down[both[0]] = false }) // the other one never comes back
		time.Sleep(3 * time.Hour)
		if len(w.written()) != 1 {
			t.Errorf("changes %v", w.written())
		}
	})
}

// TestPublishedAgain: a backup of before a rotation is restored after the
// record of the key that signs again was deleted; the record comes back.
func TestPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start(w.publishes)
		time.Sleep(3 * day)
		check(t, d.Stop(context.Background()))
		w.hide(first+"._domainkey.example.com", both...)
		d = w.start(w.publishes)
		time.Sleep(3 * time.Hour)
		w.wantWaits(d, first, "")
		if len(w.written()) != 2 || w.said("is gone from the DNS") != 1 || w.said("show the record of the DKIM key that signs, again") != 1 {
			t.Errorf("changes %v", w.written())
		}
		w.show(appliance.DNSRecord{Name: first + "._domainkey.example.com", Value: rsaKey.Record("x", "y").Value}, both...)
		time.Sleep(3 * day)
		if len(w.written()) != 2 {
			t.Errorf("what others have put there was touched: %v", w.written())
		}
	})
}
