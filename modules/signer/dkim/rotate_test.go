package dkim

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	day   = 24 * time.Hour
	first = "waxwing-ed25519"
	after = first + "-20000111" // ten days after the beginning of time in a bubble
)

// rotating is a signer that rotates every ten days.
func rotating(d *DKIM) { d.Rotate, d.Grace = 10*day, 7*day }

// TestRotation is a whole rotation, with a record that one of two name servers
// shows later than the other. It is run once as it is, and once more with a
// restart every few hours, so that each state is met by one.
func TestRotation(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { rotation(t, restarts) })
	}
}

func rotation(t *testing.T, restarts bool) {
	w := newWorld(t)
	d := w.start(rotating)
	start := time.Now()
	// until sleeps until some time after the start.
	until := func(after time.Duration) {
		for time.Since(start) < after {
			nap := min(3*time.Hour+7*time.Minute, after-time.Since(start))
			if restarts {
				check(t, d.Stop(context.Background()))
				d = w.start(rotating)
				nap = max(nap, min(20*time.Minute, after-time.Since(start)))
			}
			time.Sleep(nap)
			synctest.Wait()
		}
	}
	w.show(d.DNSRecords()[0], both...)
	until(2 * time.Hour)
	w.want(d, "current "+first)
	w.wantWaits(d, first, "its rotation, 2000-01-11 00:00 UTC")

	until(10*day + 2*time.Hour)
	w.want(d, "current "+first+", next "+after)
	w.wantWaits(d, after, "its record: no name server shows the record")

	w.show(key(d, after).Record, both[0])
	until(12 * day)
	w.want(d, "current "+first+", next "+after)
	w.wantWaits(d, after, "its record: ns2.example.com without the record, which others show")
	if got := w.selectors(d); got != first {
		t.Errorf("signed by %s", got)
	}

	shown := key(d, after).Record
	w.show(shown, both...)
	until(12*day + 50*time.Minute) // shown everywhere, but not for long
	w.want(d, "current "+first+", next "+after)
	until(12*day + 6*time.Hour)
	w.want(d, "current "+after+", old "+first)
	if got := w.selectors(d); got != after {
		t.Errorf("signed by %s", got)
	}
	w.wantWaits(d, first, "the grace period, until 2000-01-20")

	w.set(func() { w.oldest = start.Add(12 * day) }) // a message from before the switch
	until(21 * day)
	w.want(d, "current "+after+", old "+first)
	w.wantWaits(d, first, "mail in the queue that was accepted before 2000-01-13")

	w.set(func() { w.oldest = start.Add(20 * day) })
	until(21*day + 8*time.Hour)
	w.want(d, "current "+after+", retired "+first)
	w.wantWaits(d, first, "its record to be deleted from the DNS: 2 name servers still show it")
	if _, err := w.values.Get(t.Context(), "example.com/"+first+".private"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private key of a retired key: %v", err)
	}
	if records := d.DNSRecords(); len(records) != 1 || records[0].Value != shown.Value {
		t.Errorf("records: %+v", records)
	}

	w.hide(first+"._domainkey.example.com", both[0])
	until(21*day + 16*time.Hour)
	w.wantWaits(d, first, "its record to be deleted from the DNS: 1 name server still shows it")
	w.hide(first+"._domainkey.example.com", both[1])
	until(22 * day)
	w.want(d, "current "+after)

	until(22*day + 12*time.Hour) // ten days after the switch
	w.want(d, "current "+after+", next "+first+"-20000123")
	w.pace()
}

// pace holds that name servers were not asked too often: of the keys of the
// world, each at most every five minutes.
func (w *world) pace() {
	w.t.Helper()
	w.set(func() {
		days := int(time.Since(w.asked[0])/day) + 1
		if len(w.asked) > days*200 {
			w.t.Errorf("asked %d times in %d days", len(w.asked), days)
		}
	})
}

// TestRotationPublished: with a dns block a rotation needs nobody, and what it
// fails with is said and tried again.
func TestRotationPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start(rotating, w.publishes)
		time.Sleep(2 * time.Minute) // it need not wait for a tick
		w.wantWaits(d, first, "its record: no name server shows the record (published ")
		time.Sleep(2 * time.Hour)
		w.wantWaits(d, first, "its rotation")
		w.set(func() { w.refuses = errors.New("401 Unauthorized") })
		time.Sleep(10 * day)
		w.wantWaits(d, after, "its record: no name server shows the record; dns.zone: 401 Unauthorized")
		if n := w.said("cannot be published"); n < 2 || n > 20 {
			t.Errorf("said %d times that it fails", n)
		}
		w.set(func() { w.refuses = nil })
		time.Sleep(3 * time.Hour)
		w.want(d, "current "+after+", old "+first)
		time.Sleep(7*day + 2*time.Hour)
		synctest.Wait()
		w.want(d, "current "+after)
		want := []string{"+" + first, "+" + after, "-" + first}
		for i := range want {
			want[i] += "._domainkey.example.com"
		}
		if !slices.Equal(w.written(), want) {
			t.Errorf("changes %v, want %v", w.written(), want)
		}
	})
}

// TestUnpublished: what is at the name of a record already is not touched, and
// a record that is right already is not published again.
func TestUnpublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.show(appliance.DNSRecord{Name: first + "._domainkey.example.com", Value: rsaKey.Record("x", "y").Value}, both[1])
		d := w.start(w.publishes)
		time.Sleep(time.Hour)
		w.wantWaits(d, first, "its record: ns1.example.com without the record; ns2.example.com: k=rsa is published")
		if !strings.HasSuffix(waits(d, first), "; the record is not published, because there is another one at its name") || len(w.written()) > 0 {
			t.Errorf("%s; %v", waits(d, first), w.written())
		}
		w.show(d.DNSRecords()[0], both...)
		time.Sleep(2 * time.Hour)
		w.wantWaits(d, first, "")
		if len(w.written()) > 0 || waits(d, first) != "" {
			t.Errorf("%s; %v", waits(d, first), w.written())
		}
	})
}

// TestVanished: a record that was there and is gone is said once, and the key
// goes on signing. A server that does not answer is no such thing.
func TestVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		record := d.DNSRecords()[0]
		time.Sleep(3 * time.Hour)
		w.wantWaits(d, first, "its record: no name server shows the record")
		const gone = "is gone from the DNS"
		if w.said(gone) > 0 {
			t.Error("a record that was never there is gone")
		}
		w.show(record, both...)
		time.Sleep(2 * time.Hour)
		w.set(func() { w.down[both[1]] = true })
		time.Sleep(5 * time.Hour)
		w.wantWaits(d, first, "its record: ns2.example.com cannot be asked: no answer")
		if w.said(gone) > 0 {
			t.Error("a server that does not answer counts as a record that is gone")
		}
		w.set(func() { w.down[both[1]] = false })
		w.hide(record.Name, both[0])
		time.Sleep(5 * time.Hour)
		w.wantWaits(d, first, "its record: ns1.example.com without the record, which others show")
		if n := w.said(gone); n != 1 {
			t.Errorf("said %d times", n)
		}
		if got := w.selectors(d); got != first {
			t.Errorf("signed by %q", got)
		}
		w.show(record, both...)
		time.Sleep(2 * time.Hour)
		if n := w.said(", again"); n != 1 {
			t.Errorf("said %d times that it is back", n)
		}
	})
}

// TestLookAgain: a look that finds the record missing somewhere, or cannot ask
// a server, begins the hour anew.
func TestLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		check(t, d.RotateKeys(t.Context(), "example.com", appliance.RotateWhenShown))
		next := first + "-20000101"
		w.show(key(d, next).Record, both...)
		time.Sleep(50 * time.Minute)
		w.wantWaits(d, next, "its record to be known: all name servers show it; signs after 2000-01-01 01:")
		w.set(func() { w.down[both[0]] = true })
		time.Sleep(2 * time.Hour)
		w.wantWaits(d, next, "its record: ns1.example.com cannot be asked: no answer")
		w.set(func() { w.down[both[0]] = false })
		time.Sleep(55 * time.Minute)
		w.want(d, "current "+first+", next "+next)
		time.Sleep(90 * time.Minute)
		w.want(d, "current "+next+", old "+first)
	})
}

// TestStopMeanwhile: a server that stops in the middle of a look has not seen
// anything; one that waits for too long has seen that nobody answers.
func TestStopMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		check(t, d.RotateKeys(t.Context(), "example.com", appliance.RotateWhenShown))
		next := first + "-20000101"
		w.show(key(d, next).Record, both...)
		time.Sleep(20 * time.Minute)
		w.wantWaits(d, next, "its record to be known")
		w.hangs.Store(true)
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		before := *d.ring.Load().lives["example.com"].life.find(next)
		if err := d.RotateKeys(ctx, "example.com", appliance.RotateWhenShown); !errors.Is(err, context.Canceled) || time.Since(begun) != time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if after := d.ring.Load().lives["example.com"].life.find(next); after.Looks != before.Looks || after.Waits != before.Waits {
			t.Errorf("%+v after a look that was not one, %+v before", after, before)
		}
		time.Sleep(40 * time.Minute)
		w.wantWaits(d, next, "its record: context deadline exceeded")
	})
}

// TestOrders: what a person can ask for.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		next, third := first+"-20000101", first+"-20000101-2"
		check(t, d.RotateKeys(t.Context(), "example.com", appliance.RotateWhenShown))
		check(t, d.RotateKeys(t.Context(), "example.com", appliance.RotateWhenShown)) // goes on with the same
		w.want(d, "current "+first+", next "+next)
		check(t, d.RetireKey(t.Context(), "example.com", next))
		w.want(d, "current "+first) // its record was nowhere
		check(t, d.RotateKeys(t.Context(), "example.com", appliance.RotateNow))
		w.want(d, "current "+third+", old "+first)
		if got := w.selectors(d); got != third || w.said("signs before all name servers") != 1 {
			t.Errorf("signed by %q", got)
		}
		w.wantWaits(d, third, "its record: no name server shows the record")
		w.show(edKey.Record("example.com", first), both...) // somebody else's
		check(t, d.RetireKey(t.Context(), "example.com", strings.ToUpper(first)))
		w.want(d, "current "+third)

		for _, c := range []struct {
			err  error
			want error
			text string
		}{
			{d.RetireKey(t.Context(), "example.com", third), errors.ErrUnsupported, "rotate first (waxwing dkim rotate example.com)"},
			{d.RetireKey(t.Context(), "example.com", first), fs.ErrNotExist, `no key with the selector "waxwing-ed25519"`},
			{d.RetireKey(t.Context(), "example.org", first), fs.ErrNotExist, "does not sign for example.org"},
			{d.RotateKeys(t.Context(), "example.org", appliance.RotateNow), fs.ErrNotExist, "does not sign for example.org"},
		} {
			if !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.text) {
				t.Errorf("%v, want %q", c.err, c.text)
			}
		}
	})
}

// TestOrdersOfFiles: keys of files take no part.
func TestOrdersOfFiles(t *testing.T) {
	path := t.TempDir() + "/mail.private"
	check(t, os.WriteFile(path, edKey.PEM(), 0o600))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start(func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "mail", File: path}} })
		w.want(d, "current mail")
		for _, err := range []error{d.RotateKeys(t.Context(), "example.com", appliance.RotateWhenShown), d.RetireKey(t.Context(), "example.com", "mail")} {
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "are in files") {
				t.Errorf("%v", err)
			}
		}
		time.Sleep(day)
		if list, err := w.values.List(t.Context(), ""); err != nil || len(list) > 0 || len(w.asked) > 0 {
			t.Errorf("stored %v, asked %d times", list, len(w.asked))
		}
	})
}

// TestTwoNodes: of two nodes on one store one moves a key, and the other one
// signs with it within minutes.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.start(rotating, w.publishes), w.start(rotating, w.publishes)
		time.Sleep(10*day + 3*time.Hour)
		w.want(a, "current "+after+", old "+first)
		w.want(b, "current "+after+", old "+first)
		if len(w.written()) != 2 || w.said("this DKIM key signs from now on") != 1 || w.said("is published") != 2 {
			t.Errorf("changes %v, %d switches", w.written(), w.said("this DKIM key signs from now on"))
		}
		check(t, a.RotateKeys(t.Context(), "example.com", appliance.RotateNow))
		signs := a.ring.Load().keys["example.com"][0].selector
		time.Sleep(7 * time.Minute)
		if got := w.selectors(b); got != signs || got == after {
			t.Errorf("the other node signs with %s, want %s", got, signs)
		}
	})
}
