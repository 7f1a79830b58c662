package smtpconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestReasons: what the sender of a message is told about the network. It
// names the server and nothing of ours.
func TestReasons(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, tc := range []struct {
		got  *appliance.Reply
		want string
	}{
		{unreachable(t.Context(), "mx.test", op(syscall.ECONNREFUSED)), "451 4.4.1 mx.test: connection refused"},
		{unreachable(t.Context(), "mx.test", op(syscall.ENETUNREACH)), "451 4.4.1 mx.test: network unreachable"},
		{unreachable(t.Context(), "mx.test", op(os.ErrDeadlineExceeded)), "451 4.4.1 mx.test: connection timed out"},
		{unreachable(t.Context(), "mx.test", context.DeadlineExceeded), "451 4.4.1 mx.test: connection timed out"},
		{unreachable(t.Context(), "mx.test", op(syscall.EADDRNOTAVAIL)), "451 4.4.1 mx.test: no connection"},
		{unreachable(t.Context(), "mx.test", op(appliance.NewReply(550, 4, 4, "guarded"))), "550 5.4.4 guarded"},
		{unreachable(canceled, "mx.test", op(context.Canceled)), "451 4.3.2 Delivery was interrupted here and will be tried again"},
		{lost(t.Context(), "mx.test", stageRcpt, io.EOF), "451 4.4.2 Connection to mx.test was lost at RCPT"},
		{lost(t.Context(), "mx.test", stageFinal, os.ErrDeadlineExceeded), "451 4.4.2 mx.test did not answer in time at end of data"},
		{lost(t.Context(), "mx.test", stageMail, protocolError("x")), "451 4.5.0 mx.test broke the SMTP protocol at MAIL"},
		{lost(canceled, "mx.test", stageMail, net.ErrClosed), "451 4.3.2 Delivery was interrupted here and will be tried again"},
	} {
		if tc.got.String() != tc.want {
			t.Errorf("%q, want %q", tc.got, tc.want)
		}
		if tc.got.Err == nil {
			t.Errorf("%q has no cause for the log", tc.got)
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Config{Hello: "client.test", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		begin := time.Now()
		target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25")}
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target, target)), "451 4.4.1")
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("two addresses took %v", d)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, plain+taken+taken+quit)
	p := pool(t, func(c *Config) { c.Metrics = reg })
	send(t, p, s, "250 2.0.0 remote")
	send(t, p, s, "250 2.0.0 remote")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range families {
		m := f.GetMetric()[0]
		got += fmt.Sprintf("%s %v\n", f.GetName(), m.GetCounter().GetValue()+m.GetGauge().GetValue())
	}
	want := "waxwing_relay_connections_idle 1\nwaxwing_relay_connections_opened_total 1\nwaxwing_relay_connections_reused_total 1\n"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTLSModes(t *testing.T) {
	if m, err := ParseTLSMode("verified", TLSNone, TLSVerified); m != TLSVerified || err != nil {
		t.Error(m, err)
	}
	_, err := ParseTLSMode("starttls", TLSNone, TLSRequired, TLSVerified)
	if err == nil || err.Error() != `"starttls" is not a TLS mode here; write "none", "required" or "verified"` {
		t.Error(err)
	}
	if f := asFailure(errors.New("x")); f.Result.Reply.Code != 451 {
		t.Error(f)
	}
}
