package smtpserver

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap/zapcore"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// served is a name under which the certificates of a test can be embedded: their
// own is that of a method.
type served = appliancetest.Certificates

// waiting are certificates that become ready, and stop being so, in mid test.
type waiting struct {
	*served
	missing atomic.Pointer[error]
}

func (w *waiting) Ready() error {
	if err := w.missing.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *waiting) set(err error) {
	if err == nil {
		w.missing.Store(nil)
		return
	}
	w.missing.Store(&err)
}

// startWaiting runs a server whose certificate is missing for a reason.
func startWaiting(t *testing.T, reason error, opts ...func(*options)) (*rig, *waiting) {
	t.Helper()
	r := newRig(t, opts...)
	w := &waiting{served: r.tls}
	w.set(reason)
	r.srv.set.TLS = appliance.RefTo[appliance.Certificates](appliance.Addr{Kind: appliance.KindTLS, Name: "waiting"}, w)
	if err := r.srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stop(t) })
	return r, w
}

var errNoPort80 = errors.New("http-01 needs port 80 published")

// TestX7_NoPasswordWithoutCertificate: until there is a certificate nobody is
// asked for a password, by no mechanism; AUTH is announced all the same, and
// nothing else changes.
func TestX7_NoPasswordWithoutCertificate(t *testing.T) {
	const notYet = "S: 454 4.7.0 No valid certificate for this server yet; try again in a few minutes\n"
	r, w := startWaiting(t, errNoPort80, implicit, knowing("printer"))
	r.as(t, "printer", hello+"has: ^250.AUTH EXTERNAL PLAIN LOGIN$\n"+
		"C: AUTH PLAIN\n"+notYet+"C: AUTH PLAIN AGFwcABzZWNyZXQ=\n"+notYet+"C: AUTH LOGIN\n"+notYet+"C: AUTH EXTERNAL =\n"+notYet+
		"C: AUTH CRAM-MD5\nS: 504 <<.*\nC: MAIL FROM:<a@local.test>\nS: 530 5.7.0 Authentication required")
	if got := len(r.Events.All()); got != 0 {
		t.Errorf("%d events, as if somebody had failed to log in", got)
	}
	w.set(nil)
	r.as(t, "printer", hello+"C: AUTH EXTERNAL =\nS: 235 <<.*")
}

// TestNotReadyElsewhere: in clear, AUTH is refused for that; port 25 offers
// STARTTLS with what there is; a trusted network sends as ever.
func TestNotReadyElsewhere(t *testing.T) {
	r, _ := startWaiting(t, errNoPort80, submission, trusting)
	r.talk(t, hello+"has: STARTTLS\nC: AUTH PLAIN\nS: 538 <<.*\nC: MAIL FROM:<a@local.test>\nS: 250 <<.*\nC: RCPT TO:<b@elsewhere.example>\nS: 250 <<.*")
	r, _ = startWaiting(t, errNoPort80)
	r.talk(t, hello+"has: STARTTLS\nC: STARTTLS\nS: 220 <<.*\nstarttls\nC: EHLO client.example\nS: 250 <<.*\nlacks: AUTH\nC: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nC: RCPT TO:<b@local.test>\nS: 250 <<.*")
	if n := r.logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 0 {
		t.Errorf("%d warnings of a listener where nobody logs in", n)
	}
}

// TestNotReadyIsSaidOnce: at the start and at each change, with the reason,
// however many clients ask.
func TestNotReadyIsSaidOnce(t *testing.T) {
	r, w := startWaiting(t, errNoPort80, implicit)
	ask := func() { r.as(t, "", hello+"C: AUTH LOGIN\nS: <<(454|334).*") }
	said := func(want string) {
		t.Helper()
		var got []string
		for _, e := range r.logs.TakeAll() {
			if tls, ok := e.ContextMap()["tls"]; ok && tls == "tls.waiting" {
				got = append(got, e.Level.String())
				if e.Level == zapcore.WarnLevel && e.ContextMap()["error"] != errNoPort80.Error() {
					t.Errorf("the reason is missing: %v", e.ContextMap())
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("logged %v, want %s", got, want)
		}
	}
	said("warn")
	ask()
	ask()
	said("")
	w.set(nil)
	ask()
	ask()
	said("info")
	w.set(errNoPort80)
	ask()
	said("warn")
}

// TestNotReadyIsNoFailure: it is no error of the client, but not for ever.
func TestNotReadyIsNoFailure(t *testing.T) {
	r, _ := startWaiting(t, errNoPort80, implicit, func(o *options) { o.set.MaxErrors = 1 })
	r.as(t, "", hello+strings.Repeat("C: AUTH LOGIN\nS: 454 <<.*\n", maxJunk-1)+"C: AUTH LOGIN\nS: 421 4.7.0 <<.*\nclose")
	if n := testutil.ToFloat64(r.srv.metrics.notReady); n != maxJunk {
		t.Errorf("%v logins counted that came too early, want %d", n, maxJunk)
	}
}
