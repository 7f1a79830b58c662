package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
)

// keeper is a Certificates that renews nothing on request.
type keeper struct {
	part
	all   []CertificateInfo
	ready error
}

func (k *keeper) ServerConfig(TLSUse) *tls.Config { return nil }
func (k *keeper) Certificates() []CertificateInfo { return k.all }
func (k *keeper) Ready() error                    { return k.ready }

// renewer is one that does, unless it fails for the name.
type renewer struct {
	keeper
	fails map[string]error
	asked []string
}

func (r *renewer) Renew(_ context.Context, name string) error {
	r.asked = append(r.asked, name)
	for i := range r.all {
		if r.all[i].Names[0] == name && r.fails[name] == nil {
			r.all[i].State = CertificateValid
		}
	}
	return r.fails[name]
}

// keepers is an appliance with tls.le, which can renew, and tls.own, which
// cannot; both keep smtp.example.com.
func keepers() (*Appliance, *renewer, *keeper) {
	le, own := new(renewer), new(keeper)
	for _, n := range []string{"mail.example.com", "smtp.example.com", "*.xn--bcher-kva.example", "192.0.2.1"} {
		le.all = append(le.all, CertificateInfo{Names: []string{n}, State: CertificatePending})
	}
	own.all = []CertificateInfo{{Names: []string{"own.example.com", "smtp.example.com"}, State: CertificateValid}}
	g := &Graph{Settings: DefaultSettings(), Nodes: []*Node{
		{Addr: Addr{KindTLS, "le"}, Type: "acme", Module: le},
		{Addr: Addr{KindTLS, "own"}, Type: "files", Module: own},
	}}
	return New(g, Options{}), le, own
}

func TestCertificates(t *testing.T) {
	a, _, _ := keepers()
	var got []string
	for _, c := range a.Certificates() {
		got = append(got, fmt.Sprintf("%s %s %s %s", c.Block, c.Type, strings.Join(c.Names, ","), c.State))
	}
	want := `tls.le acme mail.example.com pending
tls.le acme smtp.example.com pending
tls.le acme *.xn--bcher-kva.example pending
tls.le acme 192.0.2.1 pending
tls.own files own.example.com,smtp.example.com valid`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// TestRenewCertificate: who is asked for what, however a person writes it,
// and what is said of what nobody keeps or renews.
func TestRenewCertificate(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked string
		kind  error
		text  string
	}{
		{"mail.example.com", "mail.example.com", nil, ""},
		{"MAIL.example.COM.", "mail.example.com", nil, ""},
		{"*.Bücher.example", "*.xn--bcher-kva.example", nil, ""},
		{"::ffff:192.0.2.1", "192.0.2.1", nil, ""},
		{"smtp.example.com", "smtp.example.com", nil, ""}, // by the one of its keepers that can
		{"tls.le", "mail.example.com smtp.example.com *.xn--bcher-kva.example 192.0.2.1", nil, ""},
		{"own.example.com", "", errors.ErrUnsupported, "own.example.com is kept by tls.own (type files)"},
		{"tls.own", "", errors.ErrUnsupported, "tls.own (type files) cannot be asked for new certificates"},
		{"mail.example.net", "", fs.ErrNotExist, `for "mail.example.net"; there are tls.le, mail.example.com, smtp.example.com, *.xn--bcher-kva.example, 192.0.2.1, tls.own, own.example.com`},
		{"listener.le", "", fs.ErrNotExist, ""},
		{"", "", fs.ErrNotExist, ""},
	} {
		a, le, _ := keepers()
		done, err := a.RenewCertificate(t.Context(), c.name)
		if asked := strings.Join(le.asked, " "); asked != c.asked {
			t.Errorf("%s: asked for %q, want %q", c.name, asked, c.asked)
		}
		if !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.kind == nil && (len(done) == 0 || done[0].State != CertificateValid) {
			t.Errorf("%s: not as it is afterwards: %+v", c.name, done)
		}
	}
	_, err := New(&Graph{}, Options{}).RenewCertificate(t.Context(), "mail.example.com")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no tls block") {
		t.Errorf("no tls block: %v", err)
	}
}

// TestRenewCertificateFails: one name that fails keeps none of the others
// from being renewed, and every failure is told.
func TestRenewCertificateFails(t *testing.T) {
	a, le, _ := keepers()
	le.fails = map[string]error{"mail.example.com": errors.New("refused"), "192.0.2.1": errLocal}
	done, err := a.RenewCertificate(t.Context(), "tls.le")
	if err == nil || err.Error() != "tls.le: mail.example.com: refused\ntls.le: 192.0.2.1: "+errLocal.Error() || !errors.Is(err, errLocal) {
		t.Errorf("got %v", err)
	}
	if len(le.asked) != 4 || len(done) != 4 || done[1].State != CertificateValid || done[0].State != CertificatePending {
		t.Errorf("asked for %v, now %+v", le.asked, done)
	}
}

// TestRenewCertificateEnds: what nobody waits for any more is not asked for.
func TestRenewCertificateEnds(t *testing.T) {
	a, le, _ := keepers()
	le.fails = map[string]error{"mail.example.com": context.Canceled}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLocal)
	if _, err := a.RenewCertificate(ctx, "tls.le"); !errors.Is(err, errLocal) || len(le.asked) != 1 {
		t.Errorf("asked for %v, %v", le.asked, err)
	}
}

func TestAlarming(t *testing.T) {
	now, day := time.Now(), 24*time.Hour
	for _, c := range []struct {
		state     CertificateState
		age, left time.Duration
		want      bool
	}{
		{CertificateValid, 60 * day, 30 * day, false},
		{CertificateValid, 76 * day, 14*day + time.Minute, false},
		{CertificateValid, 76 * day, 14*day - time.Minute, true},
		{CertificateSelfSigned, 360 * day, 5 * day, true},
		{CertificateValid, 0, 6 * day, false},         // a life of six days
		{CertificateValid, 3 * day, 3 * day, false},   // half of it is left
		{CertificateValid, 5 * day, 1 * day, true},    // less than a third
		{CertificateExpired, 9 * day, -day, true},     //
		{CertificateExpired, -day, 90 * day, true},    // not valid yet
		{CertificatePending, 0, 0, true},              //
		{CertificateValid, 9 * day, -time.Hour, true}, // its keeper has not noticed yet
	} {
		info := CertificateInfo{State: c.state, NotBefore: now.Add(-c.age), NotAfter: now.Add(c.left)}
		if got := info.Alarming(now); got != c.want {
			t.Errorf("%s, %v old, %v left: %t", c.state, c.age, c.left, got)
		}
	}
	if (&CertificateInfo{State: CertificateValid}).Alarming(now) {
		t.Error("nothing is known of its end, and yet it alarms")
	}
}

// TestHealthyWithoutCertificate: an orchestrator that leads traffic to healthy
// instances only must lead the authority to one that has no certificate yet,
// or there never will be one.
func TestHealthyWithoutCertificate(t *testing.T) {
	a, _, own := keepers()
	own.ready = errors.New("no certificate yet")
	a.running.Store(true)
	if err := a.Healthy(); err != nil {
		t.Errorf("unhealthy: %v", err)
	}
	if p := a.Posture(); len(p.TLS) != 2 || p.TLS[0].Waits != "" || p.TLS[1].Waits != "no certificate yet" || p.TLS[1].Addr != "tls.own" {
		t.Errorf("posture %+v", p.TLS)
	}
}
