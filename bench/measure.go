package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// figures are the results of one measurement.
type figures struct {
	accepted, delivered float64 // per second
	cpuMillis           float64 // per message
	peakRSS             float64 // MiB
	count               int     // delivered
}

// traffic is the load of one measurement.
type traffic struct {
	messages, clients int
	size              int           // octets per message
	signed            bool          // with DKIM
	delay             time.Duration // of each 250 of the sink
}

const drainTime = 2 * time.Minute

// counter counts what a sink receives and says when it was enough.
type counter struct {
	want  int64
	n     atomic.Int64
	done  chan struct{}
	delay time.Duration
}

func newCounter(t traffic) *counter {
	return &counter{want: int64(t.messages), done: make(chan struct{}), delay: t.delay}
}

func (c *counter) got(*appliancetest.SinkMessage) string {
	time.Sleep(c.delay)
	if c.n.Add(1) == c.want {
		close(c.done)
	}
	return ""
}

// measureDirect sends the load to the sink, without a server between them.
func measureDirect(t traffic) (figures, error) {
	c := newCounter(t)
	sink, err := appliancetest.ListenSink("127.0.0.1:0", c.got)
	if err != nil {
		return figures{}, err
	}
	defer sink.Close()
	return load(c, sink.Addr(), t)
}

// measure sends the load through a fresh server.
func measure(o options, bin string, t traffic) (figures, error) {
	c := newCounter(t)
	sink, err := appliancetest.ListenSink("127.0.0.1:0", c.got)
	if err != nil {
		return figures{}, err
	}
	defer sink.Close()
	s, err := startServer(o.dir, bin, sink.Addr(), t)
	if err != nil {
		return figures{}, err
	}
	defer s.stop()
	before, err := s.cpu()
	if err != nil {
		return figures{}, err
	}
	f, err := load(c, s.address, t)
	if err != nil {
		return f, err
	}
	after, err := s.cpu()
	if err != nil {
		return f, err
	}
	f.cpuMillis = float64((after - before).Microseconds()) / 1000 / float64(t.messages)
	f.peakRSS, err = s.peakRSS()
	return f, err
}

// load submits the messages and waits until the sink has them all.
func load(c *counter, address string, t traffic) (figures, error) {
	begin := time.Now()
	if err := submitAll(address, t); err != nil {
		return figures{}, err
	}
	accepted := time.Since(begin)
	if err := c.wait(); err != nil {
		return figures{}, err
	}
	delivered := time.Since(begin)
	return figures{
		accepted:  float64(t.messages) / accepted.Seconds(),
		delivered: float64(t.messages) / delivered.Seconds(),
		count:     int(c.n.Load()),
	}, nil
}

// wait waits until the sink has them all.
func (c *counter) wait() error {
	select {
	case <-c.done:
		return nil
	case <-time.After(drainTime):
		return fmt.Errorf("%d of %d messages arrived within %v", c.n.Load(), c.want, drainTime)
	}
}

// submitAll returns when all messages have been answered 250.
func submitAll(address string, t traffic) error {
	to := appliancetest.SubmitConfig{Address: address, Timeout: drainTime}
	data := appliancetest.Message("app@example.com", "someone@example.net", "bench", t.size)
	var left atomic.Int64
	left.Store(int64(t.messages))
	errs := make(chan error, t.clients)
	for range t.clients {
		go func() { errs <- submit(to, &left, data) }()
	}
	var err error
	for range t.clients {
		err = errors.Join(err, <-errs)
	}
	return err
}

// submit is one client.
func submit(to appliancetest.SubmitConfig, left *atomic.Int64, data []byte) error {
	c, err := appliancetest.DialSubmitter(to)
	if err != nil {
		return err
	}
	defer c.Close()
	for left.Add(-1) >= 0 {
		if _, err := c.Submit("app@example.com", []string{"someone@example.net"}, data); err != nil {
			return err
		}
	}
	return nil
}
