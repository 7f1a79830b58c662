package compare

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// A ledger sees what is lost, repeated, changed or not ours.
func TestLedger(t *testing.T) {
	m := newMessage(1000)
	arrives := func(l *ledger, n int) {
		m.setNumber(n)
		data := m.wire[:len(m.wire)-len(".\r\n")]
		l.note(data, len(data), true)
	}
	for name, c := range map[string]struct {
		arrivals func(l *ledger)
		want     string
	}{
		"complete": {func(l *ledger) { arrives(l, 10); arrives(l, 11) }, ""},
		"lost":     {func(l *ledger) { arrives(l, 10) }, "message 11 has not arrived"},
		"twice":    {func(l *ledger) { arrives(l, 10); arrives(l, 11); arrives(l, 10) }, "1 messages arrived more than once"},
		"strange":  {func(l *ledger) { arrives(l, 10); arrives(l, 11); arrives(l, 9) }, "1 messages were not sent"},
		"a bounce": {func(l *ledger) { arrives(l, 10); arrives(l, 11); l.note([]byte("Subject: sorry\r\n\r\n"), 18, false) }, "1 messages were not sent"},
		"refused":  {func(l *ledger) { arrives(l, 10); arrives(l, 11); arrives(l, 12) }, "1 messages arrived though"},
		"changed": {func(l *ledger) {
			arrives(l, 10)
			m.setNumber(11)
			data := strings.Replace(string(m.wire[:len(m.wire)-3]), "winter", "summer", 1)
			l.note([]byte(data), len(data), false)
		}, "1 messages arrived with another body"},
		"cut": {func(l *ledger) {
			arrives(l, 10)
			m.setNumber(11)
			l.note(m.wire[:m.body+10], m.body+11, false)
		}, "1 messages arrived with another body"},
	} {
		l := newLedger(10, 3, m.text())
		c.arrivals(l)
		err := l.check(2)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// The sink finds the end of a message wherever the packets are divided, and
// also of one that it does not hold.
func TestSink(t *testing.T) {
	s, err := listenSink("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, c := range []struct{ size, chunk, n int }{{1000, 1, 2}, {1000, 7, 30}, {2 << 20, 100_001, 25}} {
		m := newMessage(c.size)
		l := newLedger(1, c.n, m.text())
		l.keepEvery = 5
		s.ledger.Store(l)
		conn, err := dial(s.address(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.n {
			m.setNumber(i + 1)
			submitInChunks(t, conn, m, c.chunk)
		}
		if err := conn.quit(); err != nil {
			t.Fatal(err)
		}
		if err := l.check(c.n); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		for _, kept := range l.kept {
			if len(kept) != len(m.wire)-3 {
				t.Errorf("%+v: %d octets were kept of %d", c, len(kept), len(m.wire)-3)
			}
		}
		if want := (c.n + 4) / 5; len(l.kept) != want {
			t.Errorf("%+v: %d were kept, want %d", c, len(l.kept), want)
		}
	}
}

func submitInChunks(t *testing.T, c *client, m *message, chunk int) {
	t.Helper()
	if err := c.envelope(); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		if err := tcp.SetNoDelay(true); err != nil {
			t.Fatal(err)
		}
	}
	for rest := m.wire; len(rest) > 0; {
		n := min(chunk, len(rest))
		if err := c.write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := c.expect("250"); err != nil {
		t.Fatal(err)
	}
}

// What is not signed, or signed by somebody else, is not taken for signed.
func TestVerify(t *testing.T) {
	k, err := newKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := newMessage(1000)
	for name, kept := range map[string][][]byte{
		"nothing was kept": nil,
		"no signature":     {m.wire[:len(m.wire)-3]},
		"of another": {append([]byte("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=other.test; s=sel; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"),
			m.wire[:len(m.wire)-3]...)},
	} {
		if err := k.verify(kept); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

// A server that does not sign is found out.
func TestUnsignedIsNoticed(t *testing.T) {
	s := directSite(t)
	s.setup.Sign = true
	_, err := s.send(traffic{clients: 2, messages: 10, size: 1000, limit: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "0 signatures") {
		t.Errorf("got %v", err)
	}
}

// directSite is clients and sink without a server between them.
func directSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	k, err := newKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Options: Options{Messages: 50}, dir: dir, keys: k}
	s, err := r.openSite(direct{}, siteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	s.setup.Address = s.setup.NextHop
	return s
}

// Clients stop when their time is over, and what they began counts.
func TestLimit(t *testing.T) {
	s := directSite(t)
	for _, reconnect := range []bool{false, true} {
		o, err := s.send(traffic{clients: 3, messages: 1 << 20, size: 1000, limit: 50 * time.Millisecond, reconnect: reconnect})
		if err != nil {
			t.Fatal(err)
		}
		if o.accepted == 0 || o.accepted == 1<<20 || o.accepting > 30*time.Second {
			t.Errorf("%+v", o)
		}
	}
	o, err := s.send(traffic{clients: 50, messages: 7, size: 1000, limit: time.Minute})
	if err != nil || o.accepted != 7 {
		t.Errorf("%+v, %v; want 7 messages", o, err)
	}
}

func TestMessage(t *testing.T) {
	m := newMessage(4096)
	m.setNumber(123)
	if n := len(m.wire); n < 4096 || n > 4200 {
		t.Errorf("%d octets", n)
	}
	if strings.Contains(string(m.wire[:len(m.wire)-3]), "\n.") {
		t.Error("a line begins with a dot")
	}
	if n, ok := numberOf(m.wire); !ok || n != 123 {
		t.Errorf("number %d, %v", n, ok)
	}
	if n := strings.Count(string(m.wire), "00000123"); n != 2 && n != 3 { // the body may count so far
		t.Errorf("the number stands there %d times", n)
	}
	if !strings.Contains(string(m.wire), "From: <"+peers.Sender+">\r\n") {
		t.Error("the sender is missing")
	}
}
