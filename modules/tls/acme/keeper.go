package acme

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A keeper looks after the certificate of one name.
//
//	pending  nothing is held; attempts go on until one works
//	held     a certificate is served; looked at when its renewal is due
//
// Nothing leads from held back to pending: what expires stays until there is
// something better.
type keeper struct {
	a      *ACME
	name   string
	orders chan order // to renew now
	life   context.Context
	end    context.CancelFunc
	users  int // who wants the name; guarded by the mu of a

	mu       sync.Mutex
	current  *held
	failures int       // attempts that failed, since one worked
	problem  string    // why the last one did, in words
	nextTry  time.Time // the next attempt, after one that failed
	issued   time.Time // when an attempt last got a certificate from an authority
}

// An order is a person's wish for a new certificate.
type order struct {
	at   time.Time
	done chan error
}

func newKeeper(a *ACME, name string) *keeper {
	k := &keeper{a: a, name: name, users: 1, orders: make(chan order)}
	k.life, k.end = context.WithCancel(a.running)
	return k
}

func (k *keeper) held() *held {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// recall takes what the store has, so that a restart serves it at once.
func (k *keeper) recall(ctx context.Context) {
	s := newStorage(k.a.values, k.a.log, 0)
	h, err := k.a.load(ctx, s, k.name)
	if err == nil && h == nil {
		h, err = k.a.loadFormer(ctx, s, k.name)
	}
	if err != nil {
		k.a.log.Error("cannot read the stored certificate; trying again shortly", zap.String("name", k.name), zap.Error(err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = h
}

// run looks after the name until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var sleep rest
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if nap := sleep.nap(time.Now()); nap > 0 {
				timer.Reset(nap)
				continue
			}
			pause, _ := k.attend(ctx, false)
			sleep = newRest(pause, time.Now())
			timer.Reset(sleep.nap(time.Now()))
		case o := <-k.orders:
			if k.fulfilled(o) {
				o.done <- nil
				continue
			}
			pause, err := k.attend(ctx, true)
			sleep = newRest(pause, time.Now())
			timer.Reset(sleep.nap(time.Now()))
			o.done <- err
		}
	}
}

// attend makes an attempt and returns how long to rest.
func (k *keeper) attend(ctx context.Context, force bool) (pause time.Duration, err error) {
	select {
	case k.a.slots <- struct{}{}:
		defer func() { <-k.a.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, k.a.timeout)
	defer cancel()
	old, failures := k.state()
	t := k.a.newAttempt(k.name, failures, k.a.ReuseKey && (old == nil || isOfType(old.certificate.PrivateKey, k.a.plan.keyType)))
	t.config.RenewalWindowRatio = renewalRatio(old != nil && old.suggested)
	defer t.close()
	h, err := t.guarded(limited, force)
	switch {
	case err == nil:
		return k.succeeded(old, h, t), nil
	case ctx.Err() != nil:
		return 0, ctx.Err() // the end, which is no failure
	}
	return k.failed(err)
}

// fulfilled says whether the attempt that was under way when the order came
// has brought what it is for.
func (k *keeper) fulfilled(o order) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.issued.After(o.at)
}

func (k *keeper) state() (*held, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current, k.failures
}

// succeeded takes over what an attempt has found, and returns how long to
// rest.
func (k *keeper) succeeded(old, h *held, t *attempt) time.Duration {
	k.hold(h, t.asked)
	if !old.same(h) {
		k.announce(h, t)
	}
	return nextLook(h, t.asked, time.Now())
}

// hold makes h the current certificate. Nobody is told of it before clients are
// shown it.
func (k *keeper) hold(h *held, issued bool) {
	k.a.mu.Lock()
	defer k.a.mu.Unlock()
	k.mu.Lock()
	k.current, k.failures, k.problem, k.nextTry = h, 0, "", time.Time{}
	if issued {
		k.issued = time.Now()
	}
	k.mu.Unlock()
	k.a.publish()
}

// announce says that there is a new certificate.
func (k *keeper) announce(h *held, t *attempt) {
	fields := []zap.Field{
		zap.String("name", k.name), zap.String("issuer", h.certificate.Leaf.Issuer.String()), zap.String("from", h.source),
		zap.Time("not_after", h.certificate.Leaf.NotAfter), zap.Time("renewal", h.renewal),
	}
	if len(t.closed) > 0 {
		fields = append(fields, zap.Errors("not_offered", t.closed))
	}
	switch {
	case !t.asked:
		k.a.log.Info("certificate taken from the store, where another server has put it", fields...)
	case t.renewal:
		k.a.log.Info("certificate renewed", fields...)
		k.a.metrics.count(resultRenewed)
	default:
		k.a.log.Info("certificate obtained", fields...)
		k.a.metrics.count(resultObtained)
	}
}

// failed remembers why an attempt failed, and returns how long to rest. The
// error is in words.
func (k *keeper) failed(err error) (time.Duration, error) {
	words := explain(err, k.a.question(k.name))
	k.mu.Lock()
	k.failures++
	pause := max(k.a.retry(k.failures), limitedFor(err, time.Now()))
	k.problem, k.nextTry = words, time.Now().Add(pause)
	fields := []zap.Field{
		zap.String("name", k.name), zap.String("problem", words),
		zap.Int("attempt", k.failures), zap.Time("next_try", k.nextTry), zap.String("error", brief(err.Error())),
	}
	if k.current != nil {
		fields = append(fields, zap.Time("not_after", k.current.certificate.Leaf.NotAfter))
	}
	k.mu.Unlock()
	k.a.log.Error("certificate failed", fields...)
	k.a.metrics.count(resultFailed)
	return pause, errors.New(words)
}
