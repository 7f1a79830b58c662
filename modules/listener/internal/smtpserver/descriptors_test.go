package smtpserver

import (
	"bufio"
	"testing"
)

// TestR2_Reserve: a client that would take one of the last file descriptors is
// sent away, and the next is served when there are enough again.
func TestR2_Reserve(t *testing.T) {
	r := start(t)
	first := greeted(t, r)
	defer func() { _ = first.Close() }()
	r.srv.crowd.mu.Lock()
	was := r.srv.crowd.ceiling
	r.srv.crowd.ceiling = 1
	r.srv.crowd.mu.Unlock()
	c, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "421 4.7.0 Too many connections, please try again later\r\n" {
		t.Errorf("%q, %v", line, err)
	}
	say(t, first, bufio.NewReader(first), "NOOP", "250 ")
	r.srv.crowd.mu.Lock()
	r.srv.crowd.ceiling = was
	r.srv.crowd.mu.Unlock()
	_ = greeted(t, r).Close()
	if was < 10 {
		t.Errorf("no client may have a file descriptor from %d on", was)
	}
}

func TestCeilingBelow(t *testing.T) {
	for limit, want := range map[uint64]int{0: 0, 64: 48, 1024: 768, 1 << 20: 1<<20 - 256, 1<<64 - 1: 1<<31 - 1} {
		if got := ceilingBelow(limit); got != want {
			t.Errorf("ceilingBelow(%d) = %d, want %d", limit, got, want)
		}
	}
}
