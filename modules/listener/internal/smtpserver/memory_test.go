package smtpserver

import (
	"bufio"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// withMemory gives a rig a budget of its own.
func withMemory(m *appliance.Memory) func(*options) {
	return func(o *options) {
		o.memory = m
		o.house = append(o.house, func(_ *appliancetest.House, h *appliance.House) { h.Memory = m })
	}
}

const untilHeader = untilData + "C: DATA\nS: 354 <<.*\n"

// openHeader sends a large header without its end and returns the connection.
func openHeader(t *testing.T, r *rig, octets int) net.Conn {
	t.Helper()
	c := greeted(t, r)
	br := bufio.NewReader(c)
	for _, line := range []string{"EHLO client.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<b@local.test>", "DATA"} {
		say(t, c, br, line, "")
	}
	if _, err := c.Write([]byte(strings.Repeat("X: "+strings.Repeat("x", 900)+"\r\n", octets/905))); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestP17_OpenHeaders: clients that hold on to large headers get what the budget
// has and no more. Another large header is read past and answered 452; ordinary
// mail goes on; when they are gone, all is as before.
func TestP17_OpenHeaders(t *testing.T) {
	m := appliance.NewMemory(8 << 20)
	r := start(t, withMemory(m))
	var holders []net.Conn
	for range 24 {
		c := openHeader(t, r, 100<<10)
		defer c.Close()
		holders = append(holders, c)
	}
	waitFor(t, func() bool { return m.Used() > 4<<20 })
	large := "C: X: y\n" + strings.Repeat("C: X: "+strings.Repeat("x", 900)+"\n", 500) + "C: \nC: text\nC: .\n"
	r.talk(t, untilHeader+large+"S: 452 4.3.1 Too busy with other mail; please try again in a few minutes\n"+
		"C: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nC: RCPT TO:<b@local.test>\nS: 250 <<.*\nC: DATA\nS: 354 <<.*\n"+
		"C: Subject: small\nC: \nC: text\nC: .\nS: 250 <<.*\naccepted: 1")
	if m.Used() > 6<<20 {
		t.Errorf("%s in use: what is kept for connections is gone", m.Used())
	}
	for _, c := range holders {
		_ = c.Close()
	}
	waitFor(t, func() bool { return m.Used() == 0 })
	r.talk(t, untilHeader+large+"S: 250 <<.*\naccepted: 2")
	waitFor(t, func() bool { return m.Used() == 0 })
}

// TestP17_Recipients: recipients count, too, also of a message whose content
// never comes.
func TestP17_Recipients(t *testing.T) {
	m := appliance.NewMemory(1 << 20)
	r := start(t, withMemory(m))
	script := "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<>\nS: 250 <<.*\n"
	for i := range 800 {
		local := strings.Repeat("x", i%60+1) + strings.Repeat("y", i/60+1)
		script += "C: RCPT TO:<" + local[:min(len(local), 64)] + "@local.test> ORCPT=rfc822;" + strings.Repeat("o", 400) + "\n"
	}
	// Nobody knows after how many, but some are taken, and some are not.
	err := r.dialogue().Run(script + strings.Repeat("S: <<(250 2.1.5|452 4.3.1) .*\n", 800) + "C: RSET\nS: 250 <<.*\n")
	if err != nil {
		t.Error(err)
	}
	events := r.Events.All()
	if len(events) == 0 || events[len(events)-1].Reply.Code != 452 {
		t.Errorf("no recipient was refused for want of memory: %d events", len(events))
	}
	waitFor(t, func() bool { return m.Used() == 0 })
}

// TestP17_Connections: without memory for a session there is none, and the
// client is told to come again; it can when another has left.
func TestP17_Connections(t *testing.T) {
	m := appliance.NewMemory(2 * sessionCost)
	r := start(t, withMemory(m))
	first, second := greeted(t, r), greeted(t, r)
	defer second.Close()
	r.talk(t, "S: 421 4.3.2 Too busy at the moment, please try again in a few minutes\nclose")
	_ = first.Close()
	waitFor(t, func() bool { return m.Used() == sessionCost })
	r.talk(t, hello)
}

// TestP17_Heap: the limit of the budget is one of memory: 60 clients have an open
// header of 512 KiB each, and the heap does not grow by more than it allows.
func TestP17_Heap(t *testing.T) {
	m := appliance.NewMemory(16 << 20)
	r := start(t, withMemory(m))
	before := liveHeap()
	for range 60 {
		c := openHeader(t, r, 512<<10)
		defer c.Close()
	}
	waitFor(t, func() bool { return m.Used() > 4<<20 })
	if grown := liveHeap() - before; grown > 16<<20 {
		t.Errorf("the heap has grown by %s, and %s are said to be in use", appliance.Size(grown), m.Used())
	}
}

// liveHeap is how much of the heap is in use, in octets.
func liveHeap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
