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

const drainTime = 2 * time.Minute

// counter counts what a sink receives and says when it was enough.
type counter struct {
	want  int64
	n     atomic.Int64
	done  chan struct{}
	delay time.Duration
}

func newCounter(want int, delay time.Duration) *counter {
	return &counter{want: int64(want), done: make(chan struct{}), delay: delay}
}

func (c *counter) got(*appliancetest.SinkMessage) string {
	time.Sleep(c.delay)
	if c.n.Add(1) == c.want {
		close(c.done)
	}
	return ""
}

func measureDirect(o options) (figures, error) {
	c := newCounter(o.messages, 0)
	sink, err := appliancetest.ListenSink("127.0.0.1:0", c.got)
	if err != nil {
		return figures{}, err
	}
	defer sink.Close()
	return load(c, appliancetest.SubmitConfig{Address: sink.Addr()}, o.messages, o.clients, o.size)
}

func measure(o options, bin string, signed bool) (figures, error) {
	c := newCounter(o.messages, 0)
	return through(o, bin, signed, c, o.messages, o.clients, o.size)
}

func measureBig(o options, bin string, messages, clients, size int) (figures, error) {
	c := newCounter(messages, 200*time.Millisecond)
	return through(o, bin, true, c, messages, clients, size)
}

// through runs the load through a fresh server.
func through(o options, bin string, signed bool, c *counter, messages, clients, size int) (figures, error) {
	sink, err := appliancetest.ListenSink("127.0.0.1:0", c.got)
	if err != nil {
		return figures{}, err
	}
	defer sink.Close()
	s, err := startServer(o.dir, bin, sink.Addr(), signed)
	if err != nil {
		return figures{}, err
	}
	defer s.stop()
	before, err := s.cpu()
	if err != nil {
		return figures{}, err
	}
	f, err := load(c, appliancetest.SubmitConfig{Address: s.address}, messages, clients, size)
	if err != nil {
		return f, err
	}
	after, err := s.cpu()
	if err != nil {
		return f, err
	}
	f.cpuMillis = float64((after - before).Microseconds()) / 1000 / float64(messages)
	f.peakRSS, err = s.peakRSS()
	return f, err
}

// load submits the messages and waits until the sink has them all.
func load(c *counter, to appliancetest.SubmitConfig, messages, clients, size int) (figures, error) {
	begin := time.Now()
	if err := submitAll(to, messages, clients, size); err != nil {
		return figures{}, err
	}
	accepted := time.Since(begin)
	if err := c.wait(); err != nil {
		return figures{}, err
	}
	delivered := time.Since(begin)
	return figures{
		accepted:  float64(messages) / accepted.Seconds(),
		delivered: float64(messages) / delivered.Seconds(),
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
func submitAll(to appliancetest.SubmitConfig, messages, clients, size int) error {
	to.Timeout = drainTime
	data := appliancetest.Message("app@example.com", "someone@example.net", "bench", size)
	var left atomic.Int64
	left.Store(int64(messages))
	errs := make(chan error, clients)
	for range clients {
		go func() { errs <- submit(to, &left, data) }()
	}
	var err error
	for range clients {
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
