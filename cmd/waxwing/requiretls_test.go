package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// TestRequireTLS_H12: a message that was submitted with REQUIRETLS goes to a
// next hop that has TLS and knows REQUIRETLS, and is told so there; so is the
// report of what became of it. To another it does not go.
func TestRequireTLS_H12(t *testing.T) {
	for name, c := range map[string]struct {
		offers string // after EHLO, over TLS
		heard  []string
		log    string
	}{
		"offered": {"250-REQUIRETLS\r\n", []string{
			"MAIL FROM:<app@example.com> REQUIRETLS", "RCPT TO:<bob@refused.example>", "MAIL FROM:<> REQUIRETLS", "RCPT TO:<app@example.com>",
		}, "550 5.1.1"},
		"not offered": {"", nil, "5.7.30"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTLSHop(t, c.offers)
			p := newProcess(t, h.relay(t))
			p.start()
			s, err := appliancetest.DialSubmitter(p.login())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Params = "REQUIRETLS"
			if _, err := s.Submit("app@example.com", []string{"bob@refused.example"},
				appliancetest.Message("app@example.com", "bob@refused.example", "for your eyes", 500)); err != nil {
				t.Fatal(err)
			}
			until(t, 10*time.Second, "the message has bounced", func() bool { return p.log.Count(`"msg":"bounced"`) > 0 })
			until(t, 10*time.Second, "the next hop has heard of it", func() bool { return len(h.said()) >= len(c.heard) })
			p.terminate()
			if got := h.said(); !slices.Equal(got, c.heard) {
				t.Errorf("the next hop heard %q, want %q", got, c.heard)
			}
			if p.log.Count(c.log) == 0 {
				t.Errorf("the log does not say %s", c.log)
			}
		})
	}
}

// TestRequireTLSInClear: where the way is not protected, a submitter is told so.
func TestRequireTLSInClear(t *testing.T) {
	sink := newSink(t, new(inbox).got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	s, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Params = "REQUIRETLS"
	_, err = s.Submit("app@example.com", []string{"bob@example.net"}, appliancetest.Message("app@example.com", "bob@example.net", "x", 500))
	if e, ok := errors.AsType[*textproto.Error](err); !ok || e.Code != 555 || !strings.HasPrefix(e.Msg, "5.5.4 REQUIRETLS is not offered") {
		t.Errorf("%v", err)
	}
}

// A tlsHop is a next hop with STARTTLS, which refuses everybody at
// refused.example.
type tlsHop struct {
	address string
	certs   *appliancetest.Certificates
	offers  string

	mu       sync.Mutex
	envelope []string // MAIL and RCPT, as they were heard
}

func newTLSHop(t *testing.T, offers string) *tlsHop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &tlsHop{address: l.Addr().String(), certs: appliancetest.NewCertificates(t), offers: offers}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { h.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return h
}

// relay is the block that leads there.
func (h *tlsHop) relay(t *testing.T) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.certs.Certificate.Certificate[0]})))
	return fmt.Sprintf("relay \"smarthost\" \"out\" {\n  address     = %q\n  ca_file     = %q\n  server_name = \"localhost\"\n}", h.address, ca)
}

func (h *tlsHop) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.envelope)
}

func (h *tlsHop) serve(nc net.Conn) {
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	c, reply, ehlo := textproto.NewConn(nc), "220 hop.test", "250-hop.test\r\n250 STARTTLS"
	for {
		if c.PrintfLine("%s", reply) != nil {
			return
		}
		if reply == "220 go" {
			c, ehlo = textproto.NewConn(tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{h.certs.Certificate}})), "250-hop.test\r\n"+h.offers+"250 8BITMIME"
		}
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		if reply = h.answer(line, ehlo); reply == "354 go" {
			_ = c.PrintfLine("%s", reply)
			if _, err := c.ReadDotBytes(); err != nil {
				return
			}
			reply = "250 2.0.0 ok"
		}
	}
}

// answer is the reply to a command.
func (h *tlsHop) answer(line, ehlo string) string {
	verb, _, _ := strings.Cut(line, " ")
	if verb == "MAIL" || verb == "RCPT" {
		h.mu.Lock()
		h.envelope = append(h.envelope, line)
		h.mu.Unlock()
	}
	switch {
	case verb == "EHLO":
		return ehlo
	case verb == "STARTTLS":
		return "220 go"
	case verb == "RCPT" && strings.Contains(line, "@refused.example"):
		return "550 5.1.1 nobody"
	case verb == "DATA":
		return "354 go"
	}
	return "250 2.0.0 ok"
}
