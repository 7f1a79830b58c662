package appliance_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// slowModule is a rewrite, a signer or an authenticator that waits for its
// context if it is obedient, and for release otherwise. What it does then comes
// too late.
type slowModule struct {
	obedient bool
	release  chan struct{}
}

func (*slowModule) Provision(*appliance.Context) error { return nil }

func (m *slowModule) wait(ctx context.Context) error {
	if m.obedient {
		<-ctx.Done()
		return ctx.Err()
	}
	<-m.release
	return nil
}

func (m *slowModule) Modify(ctx context.Context, tx *appliance.Transaction) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	tx.Message.Header.Prepend(appliance.NewField("X-Late", "yes"))
	tx.Envelope.Recipients[0].Mailbox.Local = "late"
	tx.SignedBy = append(tx.SignedBy, "late.test")
	_, err := tx.Message.Body.Open()
	return err
}

func (m *slowModule) Authenticate(ctx context.Context, s *appliance.Session, user string, _ appliance.Secret) (appliance.Identity, error) {
	if err := m.wait(ctx); err != nil {
		return appliance.Identity{}, err
	}
	s.Identity = &appliance.Identity{User: user}
	return *s.Identity, nil
}

// slowHouse has one slow module of the kind, and counts its timeouts.
func slowHouse(t *testing.T, kind appliance.Kind, m *slowModule) (*appliancetest.House, *prometheus.CounterVec) {
	late := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "late"}, []string{"module"})
	return appliancetest.NewHouse(t, func(h *appliancetest.House, around *appliance.House) {
		around.Limits.CheckTimeout, around.Timeouts = time.Minute, late
		at := appliance.Addr{Kind: kind, Name: "slow"}
		switch kind {
		case appliance.KindRewrite:
			h.Pipeline.Rewrites = append(h.Pipeline.Rewrites, appliance.RefTo[appliance.Modifier](at, m))
		case appliance.KindSigner:
			h.Pipeline.Signers = append(h.Pipeline.Signers, appliance.RefTo[appliance.Modifier](at, m))
		case appliance.KindAuth:
			h.Users = nil
			h.Pipeline.Auth = append(h.Pipeline.Auth, appliance.RefTo[appliance.Authenticator](at, m))
		}
	}), late
}

// TestR15_Modules: a rewrite, a signer or an authenticator that does not answer
// costs one 4yz at the deadline, whether it keeps to its context or not. What it
// does later changes nothing, and nothing is left of it.
func TestR15_Modules(t *testing.T) {
	for kind, want := range map[appliance.Kind]int{appliance.KindRewrite: 451, appliance.KindSigner: 451, appliance.KindAuth: 454} {
		for name, obedient := range map[string]bool{"obedient": true, "hangs": false} {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { slowOnce(t, kind, obedient, want) })
			})
		}
	}
}

func slowOnce(t *testing.T, kind appliance.Kind, obedient bool, want int) {
	m := &slowModule{obedient: obedient, release: make(chan struct{})}
	h, late := slowHouse(t, kind, m)
	s := &appliance.Session{ID: "s"}
	began := time.Now()
	var err error
	if kind == appliance.KindAuth {
		_, err = h.Pipeline.Authenticate(t.Context(), s, "app", appliance.NewSecret("secret"))
	} else {
		err = submit(t.Context(), h)
	}
	limit := time.Minute
	if !obedient {
		limit += time.Second
	}
	r := appliance.ReplyTo(err)
	if took := time.Since(began); r.Code != want || took != limit {
		t.Errorf("%v after %s", err, took)
	}
	if r.Err == nil || !strings.Contains(r.Err.Error(), string(kind)+".slow") {
		t.Errorf("the log does not name the module: %v", r.Err)
	}
	if n := testutil.ToFloat64(late.WithLabelValues(string(kind) + ".slow")); n != 1 {
		t.Errorf("%v timeouts are counted", n)
	}
	close(m.release)
	synctest.Wait()
	if h.Spool.Open() != 0 || len(h.Spool.Messages()) != 0 || s.Identity != nil {
		t.Errorf("%d drafts are open, %d messages were taken, %v is logged in", h.Spool.Open(), len(h.Spool.Messages()), s.Identity)
	}
}

// TestR15_InTime: what a module does in time is done.
func TestR15_InTime(t *testing.T) {
	m := &slowModule{release: make(chan struct{})}
	close(m.release)
	h, late := slowHouse(t, appliance.KindSigner, m)
	if err := submit(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	got := h.Spool.Messages()[0]
	if got.Header.Get("X-Late") != "yes" || len(got.Origin.SignedBy) != 1 || got.Envelope.Recipients[0].Mailbox.Local != "late" {
		t.Errorf("%+v", got.Accepted)
	}
	if n := testutil.CollectAndCount(late); n != 0 {
		t.Errorf("%d timeouts", n)
	}
}
