package appliance

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestParseDNSServer(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"10.0.0.53", "10.0.0.53:53"},
		{"127.0.0.1:5353", "127.0.0.1:5353"},
		{"2001:db8::53", "[2001:db8::53]:53"},
		{"[2001:db8::53]:5353", "[2001:db8::53]:5353"},
		{"dns.example.com", ""},
		{"dns.example.com:53", ""},
		{"10.0.0.53:0", ""},
		{"10.0.0.53:", ""},
		{":53", ""},
	} {
		got, err := parseDNSServer(tc.in)
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("%q is %s, an error was expected", tc.in, got)
		case tc.want == "" && !strings.Contains(err.Error(), `write "10.0.0.53"`):
			t.Errorf("%q: %v does not say what to write", tc.in, err)
		case tc.want != "" && got.String() != tc.want:
			t.Errorf("%q: %s (%v), want %s", tc.in, got, err, tc.want)
		}
	}
}

// TestResolver: the server that is named is asked, and no other.
func TestResolver(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = pc.Close(); <-done })
	go func() {
		defer close(done)
		answerMX(pc, "mx.example.net.")
	}()
	r, err := NewResolver(pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	mx, err := r.LookupMX(context.Background(), "example.org.")
	if err != nil || len(mx) != 1 || mx[0].Host != "mx.example.net." || mx[0].Pref != 10 {
		t.Errorf("%v, %v", mx, err)
	}
	_ = pc.Close()
	_, err = r.LookupMX(context.Background(), "example.org.")
	if err == nil || strings.Count(err.Error(), pc.LocalAddr().String()) == 0 || strings.Contains(err.Error(), ":53:") {
		t.Errorf("%v does not name the server that was asked", err)
	}
}

// TestResolverSharedError: net.Resolver gives one error to all who look the
// same name up at the same time, so nobody may write to it.
func TestResolverSharedError(t *testing.T) {
	s := &oneServer{address: "192.0.2.53:53"}
	shared := &net.DNSError{Err: "server misbehaving", Name: "example.org", Server: "127.0.0.53:53"}
	err := s.named(shared)
	if shared.Server != "127.0.0.53:53" {
		t.Error("the shared error was changed")
	}
	if de, ok := errors.AsType[*net.DNSError](err); !ok || de.Server != s.address || de.Name != shared.Name {
		t.Errorf("%v does not name the server that was asked", err)
	}
}

// answerMX answers every question with one MX record until pc is closed.
func answerMX(pc net.PacketConn, host string) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeMX, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName(host)},
		}}
		if b, err := m.Pack(); err == nil {
			_, _ = pc.WriteTo(b, from)
		}
	}
}
