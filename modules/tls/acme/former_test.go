package acme

import (
	"context"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// TestFormerAuthority: who writes another issuer goes on with the certificate of
// the one before until there is a new one, unless it is of no use.
func TestFormerAuthority(t *testing.T) {
	t.Parallel()
	const former = "ca.example.com-directory"
	for _, c := range []struct {
		name    string
		options acmetest.Options
		change  func(w *world, from string)
		serves  bool
	}{
		{"valid", acmetest.Options{}, func(w *world, from string) { w.moveBundle(from, former, "") }, true},
		{"expired", acmetest.Options{Validity: 4 * time.Second}, func(w *world, from string) {
			end := w.moveBundle(from, former, "")
			eventually(t, "its end", func() bool { return time.Now().After(end) })
		}, false},
		{"damaged", acmetest.Options{}, func(w *world, from string) { w.moveBundle(from, former, "damaged") }, false},
		{"of staging", acmetest.Options{}, func(w *world, from string) { w.moveBundle(from, stagingKey, "") }, false},
		{"for another name", acmetest.Options{}, func(w *world, from string) {
			w.moveBundle(from, former, "")
			w.host = "other." + w.host
		}, false},
	} {
		w := newWorld(t, c.options)
		a := w.start(w.instance())
		eventually(t, c.name, func() bool { return info(t, a, w.host).State != appliance.CertificatePending })
		a.Stop(context.Background())
		c.change(w, a.plan.authorities[0].key())

		w.ca.Inject(acmetest.Fail(acmetest.NewOrder, acmetest.ServerInternal()))
		b := w.start(w.instance())
		if _, err := w.handshake(b.ServerConfig(appliance.TLSUse{}), w.host); (err == nil) != c.serves {
			t.Errorf("%s: %v", c.name, err)
		}
		if ready := b.Ready(); (ready == nil) != c.serves {
			t.Errorf("%s: %v", c.name, ready)
		}
		eventually(t, "a failure", func() bool { return info(t, b, w.host).Error != "" })
		if got := info(t, b, w.host).State == appliance.CertificateValid; got != c.serves {
			t.Errorf("%s: %+v", c.name, info(t, b, w.host))
		}
		w.ca.Inject(nil)
		eventually(t, "one of the other authority", func() bool { return w.ca.Issued() >= 2 && info(t, b, w.host).Error == "" })
		b.Stop(context.Background())
	}
}

// moveBundle moves a stored certificate to another authority, with some text
// before it, and returns when it expires.
func (w *world) moveBundle(from, to, before string) (end time.Time) {
	at, _, _ := bundleKey(certmagic.StorageKeys.SiteCert(from, w.host))
	value, err := w.values.Get(w.t.Context(), at)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := decodeBundle(value)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := b.certificate()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.values.Delete(w.t.Context(), at); err != nil {
		w.t.Fatal(err)
	}
	if before != "" {
		value = append([]byte(before), value[:len(value)/2]...)
	}
	at, _, _ = bundleKey(certmagic.StorageKeys.SiteCert(to, w.host))
	if err := w.values.Put(w.t.Context(), at, value); err != nil {
		w.t.Fatal(err)
	}
	return c.Leaf.NotAfter
}
