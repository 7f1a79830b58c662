package appliance

import (
	"crypto/tls"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestReceived has one case for each protocol and kind of client (RFC 5321,
// section 4.4).
func TestReceived(t *testing.T) {
	tlsState := &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	user := &Identity{User: "app"}
	v4, v6 := netip.MustParseAddrPort("[::ffff:192.0.2.1]:2525"), netip.MustParseAddrPort("[2001:db8::1%eth0]:2525")
	one := []Recipient{{Mailbox: Mailbox{"u", "example.net"}}}
	for _, c := range []struct {
		name string
		s    Session
		env  Envelope
		want string
	}{
		{"HELO", Session{Client: v4, Hello: "c.example"}, Envelope{}, "from c.example ([192.0.2.1]) by mx.example.org with SMTP id ID"},
		{"EHLO", Session{Client: v6, Hello: "C.example", Extended: true}, Envelope{}, "from c.example ([IPv6:2001:db8::1]) by mx.example.org with ESMTP id ID"},
		{"unix socket", Session{Hello: "localhost", Extended: true}, Envelope{}, "from localhost by mx.example.org with ESMTP id ID"},
		{"TLS", Session{Client: v4, Hello: "c.example", Extended: true, TLS: tlsState}, Envelope{},
			"from c.example ([192.0.2.1]) by mx.example.org with ESMTPS (TLS 1.3 TLS_AES_128_GCM_SHA256) id ID"},
		{"AUTH", Session{Client: v4, Hello: "c.example", Extended: true, Identity: user}, Envelope{}, "from c.example ([192.0.2.1]) by mx.example.org with ESMTPA id ID"},
		{"TLS and AUTH, UTF8", Session{Client: v4, Hello: "c.example", Extended: true, TLS: tlsState, Identity: user}, Envelope{SMTPUTF8: true},
			"from c.example ([192.0.2.1]) by mx.example.org with UTF8SMTPSA (TLS 1.3 TLS_AES_128_GCM_SHA256) id ID"},
		{"one recipient", Session{Hello: "c.example"}, Envelope{Recipients: one}, "from c.example by mx.example.org with SMTP id ID for <u@example.net>"},
		{"two recipients", Session{Hello: "c.example"}, Envelope{Recipients: append(one, one...)}, "from c.example by mx.example.org with SMTP id ID"},
		{"no name", Session{}, Envelope{}, "from unknown by mx.example.org with SMTP id ID"},
		{"a name of the listener's own", Session{Hello: "c.example", Hostname: "smtp.example.org"}, Envelope{}, "from c.example by smtp.example.org with SMTP id ID"},
		{"bare address", Session{Hello: "192.0.2.1"}, Envelope{}, "from unknown by mx.example.org with SMTP id ID"},
		{"literal", Session{Hello: "[192.0.2.1]"}, Envelope{}, "from [192.0.2.1] by mx.example.org with SMTP id ID"},
		{"injection", Session{Hello: "x\r\nBcc: y"}, Envelope{}, "from unknown by mx.example.org with SMTP id ID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := &Transaction{ID: "ID", Session: &c.s, Envelope: c.env, Received: time.Date(2026, 8, 2, 9, 5, 0, 0, time.UTC)}
			f := received(tx, "mx.example.org")
			checkOneField(t, f, c.name)
			if got, want := f.Value(), c.want+"; Sun, 02 Aug 2026 09:05:00 +0000"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestProtocol(t *testing.T) {
	s := Session{}
	if p := s.Protocol(true); p != "SMTP" {
		t.Errorf("HELO is %s", p)
	}
	var all []string
	for _, utf8 := range []bool{false, true} {
		for i := range 4 {
			s := Session{Extended: true}
			if i&1 != 0 {
				s.TLS = new(tls.ConnectionState)
			}
			if i&2 != 0 {
				s.Identity = new(Identity)
			}
			all = append(all, s.Protocol(utf8))
		}
	}
	// RFC 3848 and RFC 6531, section 4.3, have exactly these.
	if got := strings.Join(all, " "); got != "ESMTP ESMTPS ESMTPA ESMTPSA UTF8SMTP UTF8SMTPS UTF8SMTPA UTF8SMTPSA" {
		t.Error(got)
	}
}

// FuzzReceived is H1: arbitrary octets in everything a client says leave
// exactly one field, with only our own clauses.
func FuzzReceived(f *testing.F) {
	f.Add("mail.example.org", `"a b"@c`, true)
	f.Add("x\r\nBcc: y", "a@b\r\n", false)
	f.Add("[IPv6:::1]", "jörg@bücher.example", true)
	f.Add("a (b) by c; d", `"; with \"ESMTPS\""@x`, false)
	clauses := regexp.MustCompile(`^from [^ ;()]+ \(\[192\.0\.2\.1\]\) by mx\.example\.org with (UTF8SMTP|ESMTP) id ID( for <.*>)?; .*$`)
	f.Fuzz(func(t *testing.T, hello, rcpt string, utf8 bool) {
		tx := &Transaction{ID: "ID", Session: &Session{Hello: hello, Extended: true, Client: netip.MustParseAddrPort("192.0.2.1:25")}}
		tx.Envelope.SMTPUTF8 = utf8
		if m, err := ParseMailbox(rcpt); err == nil {
			tx.Envelope.Recipients = []Recipient{{Mailbox: m}}
		}
		got := received(tx, "mx.example.org")
		checkOneField(t, got, hello+rcpt)
		if !clauses.MatchString(got.Value()) {
			t.Fatalf("%q and %q became %q", hello, rcpt, got.Value())
		}
	})
}

func TestQueueID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		valid := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{20}$`)
		seen := make(map[QueueID]bool)
		var inOrder []QueueID
		for range 1000 {
			id := NewQueueID(time.Now())
			if !valid.MatchString(string(id)) || seen[id] {
				t.Fatalf("id %q, seen %v", id, seen[id])
			}
			seen[id] = true
			inOrder = append(inOrder, id, NewQueueID(time.Now().Add(24*time.Hour)))
			time.Sleep(time.Millisecond)
		}
		first := func(i int) QueueID { return inOrder[2*i] }
		for i := 1; i < 1000; i++ {
			if first(i-1) >= first(i) || first(i) >= inOrder[1] {
				t.Fatalf("%s does not sort after %s", first(i), first(i-1))
			}
		}
	})
	if a, b := NewSessionID(), NewSessionID(); len(a) != 10 || a == b {
		t.Errorf("session ids %q and %q", a, b)
	}
	if slices.Contains([]byte(NewSessionID()), '/') {
		t.Error("a session id holds a slash")
	}
}
