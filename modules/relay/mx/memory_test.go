package mx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// A peer is a mail exchanger whose TLS changes between messages, with a relay
// that delivers to it and starts anew for each of them, over one store.
type peer struct {
	*pki
	server *server
	values *valuestest.Values
	change func(*MX)
}

func newPeer(t *testing.T, change func(*MX)) *peer {
	t.Helper()
	return &peer{newPKI(t), listenTLS(t, "127.0.0.1:0", nil, takes), new(valuestest.Values), change}
}

// send delivers a message by a relay of its own. serves is as tlsCase.cert, or
// "broken" for a handshake that fails.
func (p *peer) send(t *testing.T, serves string) (r appliance.Result, warnings int) {
	t.Helper()
	p.server.mu.Lock()
	p.server.tls = nil
	if c, ok := p.certs[serves]; ok {
		p.server.tls = &tls.Config{Certificates: []tls.Certificate{c}}
	} else if serves == "broken" {
		p.server.tls = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("broken") }}
	}
	p.server.mu.Unlock()
	core, logs := observer.New(zap.WarnLevel)
	z := zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1"}
	m := New()
	loopback(p.server.addr.Port())(m)
	m.CAFile = p.ca.File(t, t.TempDir())
	if p.change != nil {
		p.change(m)
	}
	if err := m.Provision(&appliance.Context{Hostname: "mail.us.test", Resolver: z, Values: p.values, Log: zap.New(core)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = m.Deliver(t.Context(), envelope("u@a.test"), msg)[0]
	if err := m.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	return r, logs.FilterMessageSnippet("tls_downgrade").Len()
}

func (p *peer) connections() int {
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	return len(p.server.clients)
}

// TestDefect8_BrokenSTARTTLS: a handshake that fails is followed by plain text, which
// is counted; the next message, after a restart even, is spared it.
func TestDefect8_BrokenSTARTTLS(t *testing.T) {
	p := newPeer(t, nil)
	for i, connections := range []int{2, 3, 4} {
		r, warnings := p.send(t, "broken")
		if got := summary([]appliance.Result{r}); got != delivered || r.TLS != "" || p.connections() != connections || warnings != 0 {
			t.Errorf("message %d: %s, TLS %q, %d connections, %d warnings", i+1, got, r.TLS, p.connections(), warnings)
		}
	}
}

// TestDowngrade: who had a valid certificate and has no TLS is told about,
// and gets no mail if the administrator wants that.
func TestDowngrade(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*MX)
		first  string
		then   string
		want   string
		tls    string
		warned int
	}{
		{"warn", nil, "good", "none", delivered, "", 1},
		{"warn, broken", nil, "good", "broken", delivered, "", 1},
		{"warn, still TLS", nil, "good", "self-signed", delivered, unverified, 0},
		{"warn, never valid", nil, "self-signed", "none", delivered, "", 0},
		{"defer", deferring, "good", "none", notOffered, "", 0},
		{"defer, broken", deferring, "good", "broken", mismatch, "", 0},
		{"defer, still TLS", deferring, "good", "self-signed", delivered, unverified, 0},
		{"defer, never valid", deferring, "self-signed", "none", delivered, "", 0},
		{"defer, but not for this domain", func(m *MX) { deferring(m); m.Domains = []Domain{{"a.test", "opportunistic"}} }, "good", "none", delivered, "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t, tc.change)
			if r, _ := p.send(t, tc.first); r.Reply.Code != 250 || r.TLS != unverified {
				t.Fatalf("%s, TLS %q", r.Reply.Error(), r.TLS)
			}
			r, warned := p.send(t, tc.then)
			if got := summary([]appliance.Result{r}); got != tc.want || r.TLS != tc.tls || warned != tc.warned {
				t.Errorf("%s, TLS %q, %d warnings; want %s, %q, %d", got, r.TLS, warned, tc.want, tc.tls, tc.warned)
			}
			if r, _ := p.send(t, "good"); r.Reply.Code != 250 || tc.then != "broken" && r.TLS != unverified {
				t.Errorf("restored: %s, TLS %q", r.Reply.Error(), r.TLS)
			}
		})
	}
}

func deferring(m *MX) { m.TLSDowngrade = "defer" }

func report(mode smtpconn.TLSMode, established bool, err error) smtpconn.TLSReport {
	return smtpconn.TLSReport{
		Target:      smtpconn.Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: mode},
		Established: established, Err: err,
	}
}

// TestMemoryTimes: facts end, also for clocks that have been wrong, and
// warnings come once a day.
func TestMemoryTimes(t *testing.T) {
	const addr = "192.0.2.1:25"
	now := time.Now()
	y := newMemory()
	y.learn(report(smtpconn.TLSOpportunistic, false, errors.New("broken")), now)
	for after, want := range map[time.Duration]bool{0: true, brokenFor - 1: true, brokenFor: false, -time.Second: false, -24 * time.Hour: false} {
		if y.broken(addr, now.Add(after)) != want {
			t.Errorf("broken after %v: %v", after, !want)
		}
	}
	if y.broken("192.0.2.2:25", now) {
		t.Error("another address is broken")
	}
	y.learn(report(smtpconn.TLSVerified, true, nil), now)
	y.learn(report(smtpconn.TLSVerified, true, nil), now.Add(time.Hour))
	for after, want := range map[time.Duration]bool{0: true, genuineFor - 1: true, genuineFor: false, -24 * time.Hour: true} {
		if y.wasGenuine("mx.test", now.Add(after)) != want {
			t.Errorf("genuine after %v: %v", after, !want)
		}
	}
	none := report(smtpconn.TLSOpportunistic, false, smtpconn.ErrNoTLS)
	for i, want := range []bool{true, false, true} {
		if got := y.learn(none, now.Add(time.Duration(i)*learnEvery/2)); got != want {
			t.Errorf("warning %d: %v", i, got)
		}
	}
	y = newMemory()
	y.learn(report(smtpconn.TLSDANE, true, nil), now)
	y.learn(report(smtpconn.TLSRequired, false, errors.New("broken")), now)
	if y.wasGenuine("mx.test", now) || y.broken(addr, now) || y.changed {
		t.Error("a certificate of DANE is valid, or a host that nothing can go to in plain text broken")
	}
}

// TestMemoryStore: it is bounded, survives damage, and is written only when
// there is news.
func TestMemoryStore(t *testing.T) {
	y, v, now := newMemory(), new(valuestest.Values), time.Now()
	for i := range maxRemembered + 1 {
		r := report(smtpconn.TLSOpportunistic, true, nil)
		r.Target.Name = fmt.Sprintf("mx%d.test", i)
		y.learn(r, now.Add(time.Duration(i)*time.Second))
	}
	if n := len(y.facts.Genuine); n > maxRemembered || y.wasGenuine("mx0.test", now) || !y.wasGenuine(fmt.Sprintf("mx%d.test", maxRemembered), now) {
		t.Errorf("%d hosts, the oldest among them: %v", n, y.wasGenuine("mx0.test", now))
	}
	puts := 0
	v.Fail = func(op, _ string) error {
		if op == "put" {
			if puts++; puts == 1 {
				return errors.New("disk on fire")
			}
		}
		return nil
	}
	for i, want := range []bool{false, true, true} {
		if err := y.save(t.Context(), v, now); (err == nil) != want {
			t.Errorf("save %d: %v", i, err)
		}
	}
	if puts != 2 {
		t.Errorf("%d writes, want one that fails and one that does not", puts)
	}
	again := newMemory()
	if err := again.load(t.Context(), v); err != nil || len(again.facts.Genuine) != len(y.facts.Genuine) {
		t.Errorf("%v, %d hosts of %d", err, len(again.facts.Genuine), len(y.facts.Genuine))
	}
	for _, damaged := range []string{"", "{", `{"genuine":{"mx.test":"yesterday"}}`, `[]`} {
		if err := v.Put(t.Context(), memoryKey, []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if err := newMemory().load(t.Context(), v); err == nil {
			t.Errorf("%q was read", damaged)
		}
	}
	core, logs := observer.New(zap.WarnLevel)
	provisionWith(t, &appliance.Context{Resolver: zone{}, Values: v, Log: zap.New(core)}, nil)
	if logs.FilterMessageSnippet("learned anew").Len() != 1 {
		t.Errorf("%v", logs.All())
	}
}
