package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// TestP18RenewalUnderTraffic: a certificate is renewed, once because a person
// wants it and once because it is time, while clients come all the time, and
// each of them sees one that it can verify. The third of its life that is left
// when it is time must be enough for a machine that is busy with other tests.
func TestP18RenewalUnderTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{Validity: 18 * time.Second})
	a := w.start(w.instance())
	w.ready(a, w.host)
	server := a.ServerConfig(appliance.TLSUse{})
	first := info(t, a, w.host)
	wanted := make(chan error, 1)
	go func() { wanted <- a.Renew(context.Background(), w.host) }()
	serials := make(map[string]bool)
	for n := 0; len(serials) < 3; n++ {
		state, err := w.handshake(server, w.host)
		if err != nil {
			t.Fatalf("handshake %d: %v", n, err)
		}
		serials[state.PeerCertificates[0].SerialNumber.String()] = true
		if n > 100_000 {
			t.Fatal("no renewal")
		}
		time.Sleep(time.Millisecond)
	}
	if err := receive(t, "the end of Renew", wanted); err != nil {
		t.Error(err)
	}
	if i := info(t, a, w.host); i.KeyHash != first.KeyHash || !i.NotAfter.After(first.NotAfter) {
		t.Errorf("first %+v, then %+v", first, i)
	}
	eventually(t, "two renewals in the log and the metrics", func() bool {
		counted := testutil.ToFloat64(a.metrics.issuance.WithLabelValues(resultRenewed))
		return len(w.logged("certificate renewed")) >= 2 && counted >= 2
	})
}

// TestRenewWhileObtaining: who asks for a certificate that is being issued gets
// that one, and not a second.
func TestRenewWhileObtaining(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	reached, asked := make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	t.Cleanup(ask) // before the authority ends, which waits for its requests
	var once sync.Once
	w.ca.Inject(func(r *http.Request) *acmetest.Problem {
		if acmetest.ResourceOf(r) == acmetest.NewOrder {
			once.Do(func() { close(reached); <-asked })
		}
		return nil
	})
	a := w.start(w.instance())
	receive(t, "the first order", reached)
	renewed := make(chan error, 1)
	k, err := a.find(w.host)
	if err != nil {
		t.Fatal(err)
	}
	o := order{time.Now(), renewed} // as Renew makes it
	ask()
	k.orders <- o
	if err := receive(t, "the end of the order", renewed); err != nil {
		t.Fatal(err)
	}
	if n := w.ca.Issued(); n != 1 {
		t.Errorf("%d certificates issued", n)
	}
	if err := a.Renew(t.Context(), w.host); err != nil || w.ca.Issued() != 2 {
		t.Errorf("a later wish: %v, %d issued", err, w.ca.Issued())
	}
}

// TestX7DownAtRenewal: the old certificate stays, and the status says what is
// wrong.
func TestX7DownAtRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance(func(a *ACME) { a.retry = func(int) time.Duration { return time.Hour } }))
	w.ready(a, w.host)
	before := info(t, a, w.host)
	w.ca.Down()
	if err := a.Renew(t.Context(), w.host); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("renew: %v", err)
	}
	i := info(t, a, w.host)
	if i.State != appliance.CertificateValid || !i.NotAfter.Equal(before.NotAfter) || !strings.Contains(i.Error, "cannot be reached") || time.Until(i.NextTry) < 50*time.Minute {
		t.Errorf("%+v", i)
	}
	if err := a.Ready(); err != nil {
		t.Error(err)
	}
	w.ca.Up()
	if err := a.Renew(t.Context(), strings.ToUpper(w.host)); err != nil {
		t.Fatal(err)
	}
	if i := info(t, a, w.host); i.Error != "" || !i.NextTry.IsZero() || i.Renewal.Before(time.Now()) {
		t.Errorf("%+v", i)
	}
	if n := w.ca.Issued(); n != 2 {
		t.Errorf("%d certificates issued", n)
	}
}

// TestKeys: renewals keep the key, unless they should not.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	hashes := make([]string, 0, 4)
	for _, change := range []func(*ACME){
		func(*ACME) {}, // obtains
		func(*ACME) {},
		func(a *ACME) { a.ReuseKey = false },
		func(a *ACME) { a.KeyType = "p384" },
		func(a *ACME) { a.KeyType = "p384" },
	} {
		a := w.start(w.instance(change))
		w.ready(a, w.host)
		if err := a.Renew(t.Context(), w.host); err != nil {
			t.Fatal(err)
		}
		i := info(t, a, w.host)
		if i.KeyStays != a.ReuseKey {
			t.Errorf("key stays: %t", i.KeyStays)
		}
		hashes = append(hashes, i.KeyHash)
		a.Stop(context.Background())
	}
	if hashes[0] != hashes[1] || hashes[1] == hashes[2] || hashes[2] == hashes[3] || hashes[3] != hashes[4] {
		t.Errorf("keys: %q", hashes)
	}
}

// TestR3FullDisk: whichever write is the first to fail, nothing is lost, and
// all is well as soon as there is room again.
func TestR3FullDisk(t *testing.T) {
	t.Parallel()
	for n := range 4 { // a trial, the account, its key, the certificate
		t.Run(fmt.Sprintf("first certificate, %d writes", n), func(t *testing.T) {
			t.Parallel()
			w, disk := newWorldOnDisk(t)
			disk.fillAfter(n)
			a := w.start(w.instance())
			eventually(t, "words about it", func() bool { return strings.Contains(info(t, a, w.host).Error, "disk is full") })
			w.hasRoomAgain(a, disk)
		})
	}
	for n := range 2 { // a trial, the certificate
		t.Run(fmt.Sprintf("renewal, %d writes", n), func(t *testing.T) {
			t.Parallel()
			w, disk := newWorldOnDisk(t)
			a := w.start(w.instance())
			w.ready(a, w.host)
			before := info(t, a, w.host)
			disk.fillAfter(n)
			if err := a.Renew(t.Context(), w.host); err == nil || !strings.Contains(err.Error(), "disk is full") {
				t.Errorf("renew: %v", err)
			}
			restarted := w.start(w.instance())
			for _, one := range []*ACME{a, restarted} {
				if i := info(t, one, w.host); i.KeyHash != before.KeyHash || !i.NotAfter.Equal(before.NotAfter) {
					t.Errorf("before %+v, then %+v", before, i)
				}
			}
			restarted.Stop(context.Background())
			w.hasRoomAgain(a, disk)
		})
	}
}

func newWorldOnDisk(t *testing.T) (*world, *fullDisk) {
	w, disk := newWorld(t, acmetest.Options{}), new(fullDisk)
	w.values.Fail = disk.fail
	return w, disk
}

func (w *world) hasRoomAgain(a *ACME, disk *fullDisk) {
	w.t.Helper()
	if !disk.hit() {
		w.t.Error("the disk was not full")
	}
	disk.clear()
	w.ready(a, w.host)
	eventually(w.t, "the end of the error", func() bool { return info(w.t, a, w.host).Error == "" })
	if err := a.Renew(w.t.Context(), w.host); err != nil {
		w.t.Errorf("with room again: %v", err)
	}
}

// fullDisk refuses writes after some.
type fullDisk struct {
	mu   sync.Mutex
	full bool
	left int
	hits int
}

func (d *fullDisk) fillAfter(writes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.left, d.hits = true, writes, 0
}

func (d *fullDisk) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = false
}

func (d *fullDisk) hit() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hits > 0
}

func (d *fullDisk) fail(op, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if op != "put" || !d.full {
		return nil
	}
	if d.left--; d.left >= 0 {
		return nil
	}
	d.hits++
	return syscall.ENOSPC
}

// TestReload: the instance that replaces another one waits for its attempt to
// end and goes on; on the way they share the ports and the lock.
func TestReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	arrived, release := make(chan struct{}), make(chan struct{})
	var came atomic.Bool
	w.ca.Inject(func(r *http.Request) *acmetest.Problem {
		if acmetest.ResourceOf(r) == acmetest.NewOrder && came.CompareAndSwap(false, true) {
			close(arrived)
			<-release
		}
		return nil
	})
	defer close(release)
	a := w.start(w.instance())
	receive(t, "the first order", arrived)
	b := w.start(w.instance())
	a.Stop(context.Background())
	if failed := w.logged("certificate failed"); len(failed) > 0 {
		t.Errorf("the end of an attempt by Stop is a failure: %v", failed)
	}
	if !errors.Is(a.Renew(t.Context(), w.host), errStopping) {
		t.Error("a stopped instance renews")
	}
	w.ready(b, w.host)
	if n := w.ca.Issued(); n != 1 {
		t.Errorf("%d certificates issued", n)
	}
}

// TestReloadServesAtOnce: with a certificate in the store, the instance that
// replaces another one serves it from its first moment on.
func TestReloadServesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance())
	w.ready(a, w.host)
	b := w.start(w.instance(func(b *ACME) { b.Profile = "modern" }))
	if _, err := w.handshake(b.ServerConfig(appliance.TLSUse{}), w.host); err != nil {
		t.Error(err)
	}
}

// TestRetries: a keeper counts the attempts that fail, and waits as long as an
// authority that has had enough says.
func TestRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	w.ca.Inject(acmetest.Fail(acmetest.NewOrder, &acmetest.Problem{Type: "serverInternal", Detail: "out of order", Status: http.StatusServiceUnavailable}))
	counts := make(chan int, 10)
	a := w.start(w.instance(func(a *ACME) {
		a.retry = func(failures int) time.Duration {
			select {
			case counts <- failures:
			default: // nobody counts any more, and Stop waits for this
			}
			if failures == 2 {
				w.ca.Inject(acmetest.Fail(acmetest.NewOrder, acmetest.RateLimited(time.Hour)))
			}
			return time.Millisecond
		}
	}))
	for want := 1; want <= 3; want++ {
		if got := receive(t, "a failure", counts); got != want {
			t.Errorf("failure %d, want %d", got, want)
		}
	}
	eventually(t, "the limit", func() bool { return strings.Contains(info(t, a, w.host).Error, "too many requests") })
	if wait := time.Until(info(t, a, w.host).NextTry); wait < 59*time.Minute {
		t.Errorf("tries again in %v", wait)
	}
}
