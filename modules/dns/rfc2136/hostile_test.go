package rfc2136

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	fakeKey    = "c2VjcmV0LW9mLXRoZS10ZXN0cw=="
	anotherKey = "YW5vdGhlci1zZWNyZXQ="
)

// fake is a name server whose answers are made by the test. It returns the
// provider that asks it.
func fake(t *testing.T, answer func(w dns.ResponseWriter, m *dns.Msg)) *RFC2136 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{
		Listener: l, TsigSecret: map[string]string{"acme.": fakeKey}, Handler: dns.HandlerFunc(answer),
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	t.Cleanup(func() { l.Close(); <-done })
	p := New()
	p.Server, p.KeyName, p.Key = l.Addr().String(), "acme", appliance.NewSecret(fakeKey)
	if err := errors.Join(p.Validate(), p.Provision(&appliance.Context{})); err != nil {
		t.Fatal(err)
	}
	return p
}

// reply answers with a code, signed with the right key if signed is true.
func reply(w dns.ResponseWriter, m *dns.Msg, rcode int, signed bool) {
	r := new(dns.Msg).SetRcode(m, rcode)
	if signed {
		r.SetTsig("acme.", dns.HmacSHA256, fudge, time.Now().Unix())
	}
	_ = w.WriteMsg(r)
}

// TestHostile: an answer counts only if it is one to our question and signed
// with our key.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w dns.ResponseWriter, m *dns.Msg)
		want   string // "" is success
	}{
		{"right", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeSuccess, true) }, ""},
		{"not signed", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeSuccess, false) }, "anybody could have sent it"},
		{"refused", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeRefused, true) }, "its policy does not allow the key acme."},
		{"refused, not signed", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeRefused, false) }, "its policy does not allow the key acme."},
		{"not the primary", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeNotAuth, true) }, "not the primary server of the zone example.test."},
		{"no updates", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeNotImplemented, true) }, "does not take updates"},
		{"failure", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeServerFailure, true) }, "its log says why"},
		{"not in zone", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeNotZone, true) }, "NOTZONE"},
		{"format", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeFormatError, true) }, "FORMERR"},
		{"another code", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeYXDomain, true) }, "it answers YXDOMAIN"},
		{"unknown code", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, 14, true) }, "unknown code 14"},
		{"another id", func(w dns.ResponseWriter, m *dns.Msg) { m.Id++; reply(w, m, dns.RcodeSuccess, false) }, "something else than it was asked"},
		{"clock", func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg).SetReply(m)
			r.SetTsig("acme.", dns.HmacSHA256, fudge, time.Now().Add(-time.Hour).Unix())
			_ = w.WriteMsg(r)
		}, "set the clock"},
		{"BADTIME", func(w dns.ResponseWriter, m *dns.Msg) { tsigError(w, m, dns.RcodeBadTime) }, "clock and ours are more than 5 minutes apart"},
		{"BADTRUNC", func(w dns.ResponseWriter, m *dns.Msg) { tsigError(w, m, dns.RcodeBadTrunc) }, "BADTRUNC"},
		{"TSIG error", func(w dns.ResponseWriter, m *dns.Msg) { tsigError(w, m, 99) }, "TSIG error 99"},
		{"another key", signedWith(anotherKey), "not signed with the key acme. as we have it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fake(t, c.answer)
			got, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "x"))
			switch {
			case c.want == "" && (err != nil || len(got) != 1):
				t.Errorf("%v, %v", got, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// tsigError answers as RFC 8945, section 5.2, has it: NOTAUTH, with the error
// in a TSIG record.
func tsigError(w dns.ResponseWriter, m *dns.Msg, code uint16) {
	r := new(dns.Msg).SetRcode(m, dns.RcodeNotAuth)
	r.SetTsig("acme.", dns.HmacSHA256, fudge, time.Now().Unix())
	r.IsTsig().Error = code
	buf, err := r.Pack()
	if err == nil {
		_, _ = w.Write(buf)
	}
}

func signedWith(secret string) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.SetTsig("acme.", dns.HmacSHA256, fudge, time.Now().Unix())
		buf, _, err := dns.TsigGenerate(r, secret, m.IsTsig().MAC, false)
		if err == nil {
			_, _ = w.Write(buf)
		}
	}
}

// TestGarbage: what is no DNS at all.
func TestGarbage(t *testing.T) {
	for octets, want := range map[string]string{
		"":                     "EOF",
		"\x00\x05hello":        "name server 127.0.0.1",
		"\xff\xffnot so much":  "EOF",
		"HTTP/1.1 400 Bad\r\n": "EOF",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if c, err := l.Accept(); err == nil {
				_, _ = c.Read(make([]byte, 1<<10))
				_, _ = io.WriteString(c, octets)
				c.Close()
			}
		}()
		p := New()
		p.Server, p.KeyName, p.Key = l.Addr().String(), "acme", appliance.NewSecret(fakeKey)
		if err := p.Provision(&appliance.Context{}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", octets, err)
		}
		l.Close()
		<-done
	}
}

// TestTimeout: a server that takes the update and says nothing is left after
// the time-out, or when the caller gives up.
func TestTimeout(t *testing.T) {
	hang := make(chan struct{})
	p := fake(t, func(dns.ResponseWriter, *dns.Msg) { <-hang })
	defer close(hang)
	p.Timeout = 50 * time.Millisecond
	if _, err := p.AppendRecords(t.Context(), "example.test.", txt("a", "x")); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Error(err)
	}
	p.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := p.AppendRecords(ctx, "example.test.", txt("a", "x")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestDeleteBlind: a server that takes updates and refuses questions is told
// to delete what is named exactly, and nothing that is not.
func TestDeleteBlind(t *testing.T) {
	p := fake(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Opcode == dns.OpcodeUpdate {
			reply(w, m, dns.RcodeSuccess, true)
			return
		}
		reply(w, m, dns.RcodeRefused, true)
	})
	if gone, err := p.DeleteRecords(t.Context(), "example.test.", txt("a", "x")); err != nil || len(gone) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
	if gone, err := p.DeleteRecords(t.Context(), "example.test.", []libdns.Record{libdns.RR{Name: "a", Type: "TXT"}}); err == nil {
		t.Errorf("%v is deleted unseen", gone)
	}
}
