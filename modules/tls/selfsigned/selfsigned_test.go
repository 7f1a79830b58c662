package selfsigned

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, v appliance.Values, names ...string) (*SelfSigned, error) {
	t.Helper()
	s := &SelfSigned{Names: names}
	err := errors.Join(s.Validate(), s.Provision(&appliance.Context{
		Log: zap.NewNop(), Hostname: "mail.example.com", Values: v, Metrics: prometheus.NewRegistry(),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return s, s.Start(t.Context())
}

func start(t *testing.T, v appliance.Values, names ...string) *SelfSigned {
	t.Helper()
	s, err := open(t, v, names...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *SelfSigned) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// handshake connects a client to the server and returns what it was shown.
func handshake(t *testing.T, server, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	defer g.Wait()
	defer l.Close()
	g.Go(func() {
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			c.Close()
		}
	})
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestServe(t *testing.T) {
	v := new(valuestest.Values)
	s := start(t, v)
	defer stop(t, s)
	roots := x509.NewCertPool()
	roots.AddCert(s.current.Load().Leaf)
	for _, name := range []string{"mail.example.com", "other.example"} {
		leaf, err := handshake(t, s.ServerConfig(appliance.TLSUse{}), &tls.Config{RootCAs: roots, ServerName: name})
		if ok := name == "mail.example.com"; ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && leaf.PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("key is %v", leaf.PublicKeyAlgorithm)
		}
	}
	if _, err := handshake(t, s.ServerConfig(appliance.TLSUse{}), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("A5: TLS 1.1 is spoken")
	}
	if n := len(s.ServerConfig(appliance.TLSUse{}).NextProtos); n != 0 {
		t.Errorf("%d application protocols", n)
	}
}

func TestNames(t *testing.T) {
	s := start(t, new(valuestest.Values), "192.0.2.1", "A.example.com", "bücher.example", "2001:db8::1")
	defer stop(t, s)
	for _, name := range []string{"a.example.com", "xn--bcher-kva.example", "192.0.2.1", "2001:db8::1"} {
		if err := s.current.Load().Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "a b", "[192.0.2.1]", "*.example.com", "../x", "fe80::1%eth0"} {
		err := (&SelfSigned{Names: []string{bad}}).Validate()
		var attr *appliance.AttrError
		if !errors.As(err, &attr) || attr.Attr != "names" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestLongName: a host name that does not fit a common name is no obstacle.
func TestLongName(t *testing.T) {
	long := strings.Repeat("a", 60) + ".example.com"
	s := start(t, new(valuestest.Values), long)
	defer stop(t, s)
	if err := s.current.Load().Leaf.VerifyHostname(long); err != nil {
		t.Error(err)
	}
}

// TestKept: restarts, and other nodes with the same store, have the same
// certificate; other names make another, with the same key.
func TestKept(t *testing.T) {
	v := new(valuestest.Values)
	var nodes [8]*SelfSigned
	var g sync.WaitGroup
	for i := range nodes {
		g.Go(func() { nodes[i], _ = open(t, v) })
	}
	g.Wait()
	first := nodes[0].current.Load().Leaf
	for _, n := range nodes {
		if !n.current.Load().Leaf.Equal(first) {
			t.Error("two nodes have two certificates")
		}
		stop(t, n)
	}
	again := start(t, v)
	defer stop(t, again)
	if !again.current.Load().Leaf.Equal(first) {
		t.Error("a restart makes another certificate")
	}
	other := start(t, v, "other.example.com", "192.0.2.1")
	defer stop(t, other)
	leaf := other.current.Load().Leaf
	if leaf.Equal(first) || !bytes.Equal(leaf.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Error("other names: want another certificate with the same key")
	}
}

// TestRenewal: a month before its end the certificate is renewed while the
// server runs, and a failure is tried again.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		v := &valuestest.Values{Fail: func(op, _ string) error {
			if op == "put" && full.Load() {
				return errors.New("disk full")
			}
			return nil
		}}
		s := start(t, v)
		defer stop(t, s)
		first := s.current.Load().Leaf
		time.Sleep(validity - renewal - time.Hour)
		if !s.current.Load().Leaf.Equal(first) {
			t.Fatal("renewed too early")
		}
		full.Store(true)
		time.Sleep(2 * checkEvery)
		if !s.current.Load().Leaf.Equal(first) {
			t.Fatal("a certificate that could not be kept is served")
		}
		full.Store(false)
		time.Sleep(checkEvery)
		second := s.current.Load().Leaf
		if second.Equal(first) || time.Until(second.NotAfter) < validity-checkEvery {
			t.Fatalf("not renewed: valid until %v", second.NotAfter)
		}
		if !bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) {
			t.Error("renewed with another key")
		}
		other := start(t, v) // and it was kept
		defer stop(t, other)
		if !other.current.Load().Leaf.Equal(second) {
			t.Error("the renewed certificate was not kept")
		}
	})
}

// TestP13: what cannot be read stops the start and is not replaced.
func TestP13(t *testing.T) {
	v := new(valuestest.Values)
	if err := v.Put(t.Context(), bundleKey, []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	s, err := open(t, v)
	if err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("garbage: %v", err)
	}
	stop(t, s) // after a failed start
	if b, _ := v.Get(t.Context(), bundleKey); string(b) != "garbage" {
		t.Error("the stored value was replaced")
	}
	for _, op := range []string{"lock", "get", "put"} {
		down := errors.New("down")
		v := &valuestest.Values{Fail: func(o, _ string) error {
			if o == op {
				return down
			}
			return nil
		}}
		s, err := open(t, v)
		if !errors.Is(err, down) {
			t.Errorf("%s fails: %v", op, err)
		}
		stop(t, s)
	}
}

func TestBeforeStart(t *testing.T) {
	s := new(SelfSigned)
	if _, err := s.ServerConfig(appliance.TLSUse{}).GetCertificate(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate before Start")
	}
}

func TestExpiryMetric(t *testing.T) {
	s := &SelfSigned{}
	reg := prometheus.NewRegistry()
	if err := s.Provision(&appliance.Context{Log: zap.NewNop(), Hostname: "h.example", Values: new(valuestest.Values), Metrics: reg}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	all, err := reg.Gather()
	if err != nil || len(all) != 1 || all[0].Metric[0].GetGauge().GetValue() != float64(s.current.Load().Leaf.NotAfter.Unix()) {
		t.Errorf("metric %v, %v", all, err)
	}
}
