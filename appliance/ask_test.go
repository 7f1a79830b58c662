package appliance_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// slowCheck waits at one stage: for its context if it is obedient, and for
// release otherwise; then it objects.
type slowCheck struct {
	at       appliance.Stage
	obedient bool
	release  chan struct{}
	returned chan struct{}
}

func newSlowCheck(at appliance.Stage, obedient bool) *slowCheck {
	return &slowCheck{at: at, obedient: obedient, release: make(chan struct{}), returned: make(chan struct{}, 1000)}
}

func (*slowCheck) Provision(*appliance.Context) error { return nil }

func (c *slowCheck) Stages() appliance.Stage { return c.at }

func (c *slowCheck) Inspect(ctx context.Context, _ appliance.Stage, tx *appliance.Transaction) (appliance.Verdict, error) {
	defer func() { c.returned <- struct{}{} }()
	if c.obedient {
		<-ctx.Done()
		return appliance.Verdict{}, ctx.Err()
	}
	<-c.release
	for _, to := range tx.Envelope.Recipients {
		_ = to.Mailbox.Path() + tx.Session.Hello
	}
	tx.Envelope.Recipients = nil
	return appliance.Verdict{Refuse: appliance.NewReply(550, 7, 1, "too late")}, nil
}

func houseWith(t *testing.T, c appliance.Check) *appliancetest.House {
	return appliancetest.NewHouse(t, func(h *appliancetest.House, around *appliance.House) {
		around.Limits.CheckTimeout = time.Minute
		h.Pipeline.Checks = append(h.Pipeline.Checks, appliance.RefTo(appliance.Addr{Kind: appliance.KindCheck, Name: "slow"}, c))
	})
}

// submit takes a message through all stages and returns the first objection.
func submit(ctx context.Context, h *appliancetest.House) error {
	s := &appliance.Session{ID: "s", Hello: "client.example"}
	if err := h.Pipeline.Connect(ctx, s); err != nil {
		return err
	}
	tx, err := h.Pipeline.Mail(ctx, s, appliance.Envelope{})
	if err != nil {
		return err
	}
	defer tx.End()
	for _, local := range []string{"a", "b"} {
		err = errors.Join(err, h.Pipeline.Rcpt(ctx, tx, appliance.Recipient{Mailbox: appliance.Mailbox{Local: local, Domain: "local.test"}}))
	}
	if err != nil {
		return err
	}
	_, err = h.Pipeline.Data(ctx, tx, strings.NewReader("Subject: x\r\n\r\ntext\r\n"))
	return err
}

var stages = map[string]appliance.Stage{
	"connect": appliance.AtConnect, "sender": appliance.AtSender, "recipient": appliance.AtRecipient, "content": appliance.AtContent,
}

// TestR15_Hangs: a check that does not return costs one 451 at the deadline, at
// whatever stage; what it says later changes nothing, and nothing is left of it.
func TestR15_Hangs(t *testing.T) {
	for name, at := range stages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newSlowCheck(at, false)
				h := houseWith(t, c)
				began := time.Now()
				err := submit(t.Context(), h)
				want := time.Minute + time.Second
				if at == appliance.AtRecipient {
					want += want // there are two
				}
				if r := appliance.ReplyTo(err); r.Code != 451 || !strings.HasPrefix(r.Text, "This takes too long here") {
					t.Errorf("%v", err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("after %s", took)
				}
				close(c.release)
				synctest.Wait()
				if n := h.Spool.Open(); n != 0 || len(h.Spool.Messages()) != 0 {
					t.Errorf("%d drafts are open, %d messages were taken", n, len(h.Spool.Messages()))
				}
				if err := submit(t.Context(), h); appliance.ReplyTo(err).Text != "too late" {
					t.Errorf("a check that answers in time: %v", err)
				}
			})
		})
	}
}

// TestR15_Draft: what a check that was left behind may still read is there until
// it returns.
func TestR15_Draft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSlowCheck(appliance.AtContent, false)
		h := houseWith(t, c)
		if err := submit(t.Context(), h); err == nil || h.Spool.Open() != 1 {
			t.Errorf("%v, %d drafts are open", err, h.Spool.Open())
		}
		close(c.release)
		synctest.Wait()
		if h.Spool.Open() != 0 {
			t.Error("the draft stays for ever")
		}
	})
}

// TestR15_Obedient: a check that keeps to its context returns by itself, also
// when the server stops meanwhile.
func TestR15_Obedient(t *testing.T) {
	for name, stop := range map[string]time.Duration{"deadline": time.Hour, "stop": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), stop)
				defer cancel()
				began := time.Now()
				err := submit(ctx, houseWith(t, newSlowCheck(appliance.AtSender, true)))
				if took := time.Since(began); !appliance.ReplyTo(err).Temporary() || took != min(stop, time.Minute) {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}

// TestR15_Bounded: a hundred calls are left behind and no more. After that the
// check is not asked, and the answer comes at once, until one has returned.
func TestR15_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSlowCheck(appliance.AtSender, false)
		h := houseWith(t, c)
		for range 100 {
			if err := submit(t.Context(), h); appliance.ReplyTo(err).Code != 451 {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := submit(t.Context(), h); appliance.ReplyTo(err).Code != 451 || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		c.release <- struct{}{}
		synctest.Wait()
		if _ = submit(t.Context(), h); time.Since(began) == 0 {
			t.Error("the check is not asked when one has returned")
		}
		close(c.release)
		synctest.Wait()
		if n := len(c.returned); n != 101 {
			t.Errorf("%d calls returned", n)
		}
	})
}
