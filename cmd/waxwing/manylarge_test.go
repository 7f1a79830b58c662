package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// R16: 200 clients send large messages at the same moment to a server with 64
// MiB of memory. The bodies go to the disk; a client that would take more than
// the memory there is for clients is told to come again, and does; every
// message arrives once.
func TestManyLargeAtOnce_R16(t *testing.T) {
	const clients, size = 200, 1 << 20
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	p := newProcess(t, smarthost(newSink(t, book.got).Addr()))
	lan := freeAddress(t)
	p.setting(`listener "submissions"`, fmt.Sprintf("listener \"submission\" \"lan\" {\n  address = %q\n  trusted = [\"127.0.0.0/8\"]\n}\nlimits { max_connections_per_ip = 1000 }\nlistener \"submissions\"", lan))
	p.setting("[listener.apps,", "[listener.lan, listener.apps,")
	p.setting("  checks    = [check.own]\n", "")
	p.wrap = []string{"env", "GOMEMLIMIT=64MiB"}
	p.start()

	var all []*largeClient
	for n := range clients {
		all = append(all, &largeClient{subject: fmt.Sprintf("ledger 0 %d", n), size: size, longHeader: n%4 == 0})
	}
	later := 0
	for round := 0; len(all) > 0; round++ {
		if round > 20 {
			t.Fatalf("%d clients are still told to come again", len(all))
		}
		eachAtOnce(all, func(c *largeClient) { c.begin(lan) })
		eachAtOnce(all, func(c *largeClient) { c.end() })
		var again []*largeClient
		for _, c := range all {
			switch {
			case c.acked:
				book.ack(c.subject)
			case c.failed != nil:
				t.Fatal(c.failed)
			default:
				again = append(again, c)
			}
		}
		later += len(again)
		all = again
	}
	until(t, time.Minute, "all of it is delivered", func() bool { return book.missing() == 0 })
	if later == 0 {
		t.Error("nobody was told to come again: the test asks for less than there is")
	}
	if peak := p.peakMemory(); peak > 150<<20 {
		t.Errorf("the server took %d MiB; %d MiB came at the same time", peak>>20, clients*size>>20)
	} else {
		t.Logf("%d MiB at most; %d times a client was told to come again", peak>>20, later)
	}
	p.terminate()
	for subject, n := range book.arrived {
		if n != 1 {
			t.Errorf("%s arrived %d times", subject, n)
		}
	}
}

func eachAtOnce(all []*largeClient, do func(*largeClient)) {
	var group sync.WaitGroup
	for _, c := range all {
		group.Go(func() { do(c) })
	}
	group.Wait()
}

// A largeClient sends half of a message, and later the other half.
type largeClient struct {
	subject    string
	size       int
	longHeader bool // which is kept in memory, as no body is

	conn   net.Conn
	text   *bufio.Reader
	acked  bool
	failed error // what must not happen
}

// begin sends the first half, if the server takes it.
func (c *largeClient) begin(address string) {
	var err error
	if c.conn, err = net.Dial("tcp", address); err != nil {
		c.failed = err
		return
	}
	_ = c.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c.text = bufio.NewReader(c.conn)
	for _, step := range []string{"", "EHLO app.example.com", "MAIL FROM:<app@example.com>", "RCPT TO:<someone@example.net>", "DATA"} {
		if step != "" {
			_, _ = fmt.Fprintf(c.conn, "%s\r\n", step)
		}
		if !c.hear() {
			return
		}
	}
	header := "From: app@example.com\r\nTo: someone@example.net\r\nSubject: " + c.subject + "\r\n"
	if c.longHeader {
		header += "X-Notes:" + strings.Repeat(" "+strings.Repeat("x", 69)+"\r\n", 600<<10/72)
	}
	_, _ = fmt.Fprint(c.conn, header+"\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", c.size/2/72))
}

// end sends the rest.
func (c *largeClient) end() {
	if c.conn == nil {
		return
	}
	defer c.conn.Close()
	if c.failed != nil || c.text == nil {
		return
	}
	_, _ = fmt.Fprint(c.conn, strings.Repeat(strings.Repeat("x", 70)+"\r\n", c.size/2/72)+".\r\n")
	c.acked = c.hear()
}

// hear reads a reply. It is false if the server is to be asked again later,
// and if anything else goes wrong.
func (c *largeClient) hear() bool {
	for {
		line, err := c.text.ReadString('\n')
		switch {
		case err != nil:
			c.failed = fmt.Errorf("%s: %w", c.subject, err)
		case line[3] == '-':
			continue
		case line[0] == '2' || line[0] == '3':
			return true
		case !strings.HasPrefix(line, "452 4.3.1 ") && !strings.HasPrefix(line, "421 4.3.2 "):
			c.failed = fmt.Errorf("%s is answered %q", c.subject, line)
		}
		c.text = nil
		return false
	}
}

// peakMemory is the most that the server has had in memory, in octets.
func (p *process) peakMemory() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var kib int64
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if kib == 0 {
		p.t.Fatal("the system does not say how much memory the server takes")
	}
	return kib << 10
}
