package acme

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	acmeproto "github.com/mholt/acmez/v3/acme"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// TestRest: a keeper wakes up in time, whatever happens to the clocks.
func TestRest(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name  string
		pause time.Duration
		clock func(slept time.Duration) time.Duration // what the clock on the wall says then
		want  time.Duration                           // slept, by the timers
	}{
		{"nothing happens", time.Hour, func(s time.Duration) time.Duration { return s }, time.Hour},
		{"a short one", 1500 * time.Millisecond, func(s time.Duration) time.Duration { return s }, 1500 * time.Millisecond},
		{"none", 0, func(s time.Duration) time.Duration { return s }, 0},
		{"negative", -time.Hour, func(s time.Duration) time.Duration { return s }, 0},
		{"suspended after ten minutes, for three days", time.Hour, func(s time.Duration) time.Duration {
			if s < 10*time.Minute {
				return s
			}
			return s + 72*time.Hour
		}, 10 * time.Minute},
		{"suspended for less than is left", time.Hour, func(s time.Duration) time.Duration {
			if s < 10*time.Minute {
				return s
			}
			return s + 20*time.Minute
		}, 40 * time.Minute},
		{"the clock is set back by six days", time.Hour, func(s time.Duration) time.Duration { return s - 6*24*time.Hour }, time.Hour},
		{"the clock is set forward by six days", 7 * 24 * time.Hour, func(s time.Duration) time.Duration { return s + 6*24*time.Hour }, 24 * time.Hour},
	} {
		r := newRest(c.pause, start)
		var slept time.Duration
		for {
			nap := r.nap(start.Add(c.clock(slept)))
			if nap > clockTick || nap < 0 {
				t.Fatalf("%s: a nap of %v", c.name, nap)
			}
			if slept += nap; nap == 0 {
				break
			}
		}
		if slept != c.want {
			t.Errorf("%s: slept for %v, want %v", c.name, slept, c.want)
		}
	}
}

// TestLateSuggestion: an authority that says when to renew is obeyed, even if
// less than a third of the life is left then, but not if it is too late.
func TestLateSuggestion(t *testing.T) {
	t.Parallel()
	const life = 1000 * time.Hour
	for _, c := range []struct {
		left, suggested time.Duration // before the end; 0 is no suggestion
		renews          bool
	}{
		{300 * time.Hour, 100 * time.Hour, false},
		{99 * time.Hour, 100 * time.Hour, true},
		{60 * time.Hour, 10 * time.Hour, false},
		{40 * time.Hour, 10 * time.Hour, true},
		{340 * time.Hour, 0, false},
		{300 * time.Hour, 0, true},
	} {
		w := newWorld(t, acmetest.Options{Validity: life, Skew: c.left - life})
		a := w.start(w.instance())
		w.ready(a, w.host)
		w.suggest(a, c.suggested)
		k := newKeeper(a, w.host)
		k.recall(t.Context())
		due := !k.held().renewal.After(time.Now())
		if _, err := k.attend(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if renewed := w.ca.Issued() == 2; renewed != c.renews || due != c.renews {
			t.Errorf("%v left, suggested %v: due %t, renewed %t", c.left, c.suggested, due, renewed)
		}
	}
}

// suggest stores what an authority may have said of the time of renewal.
func (w *world) suggest(a *ACME, left time.Duration) {
	s := newStorage(w.values, w.log, 0)
	at, _, _ := bundleKey(certmagic.StorageKeys.SiteCert(a.plan.authorities[0].key(), w.host))
	b, err := s.bundle(w.t.Context(), at)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := b.certificate()
	if err != nil {
		w.t.Fatal(err)
	}
	var resource certmagic.CertificateResource
	var data acmeproto.Certificate
	if err := errors.Join(json.Unmarshal(b.meta, &resource), json.Unmarshal(resource.IssuerData, &data)); err != nil {
		w.t.Fatal(err)
	}
	data.RenewalInfo = nil
	if left != 0 {
		later, selected := time.Now().Add(time.Hour), c.Leaf.NotAfter.Add(-left)
		data.RenewalInfo = &acmeproto.RenewalInfo{SelectedTime: selected, RetryAfter: &later}
		data.RenewalInfo.SuggestedWindow.Start, data.RenewalInfo.SuggestedWindow.End = selected.Add(-time.Hour), selected.Add(time.Hour)
	}
	resource.IssuerData, _ = json.Marshal(data)
	b.meta, _ = json.Marshal(resource)
	value, err := b.encode()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := s.put(w.t.Context(), at, value); err != nil {
		w.t.Fatal(err)
	}
}
