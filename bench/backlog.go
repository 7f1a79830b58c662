package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// backlog measures what a queue costs: it grows while its only next hop is
// down, is found again by a restarted server, and drains when the next hop is
// back.
func backlog(o options, bin string) error {
	t := traffic{messages: 20_000, clients: o.clients, size: o.size}
	fmt.Printf("%d messages of %d octets for a next hop that is down, %d clients, DKIM off\n", t.messages, t.size, t.clients)
	hop, err := appliancetest.FreeAddress()
	if err != nil {
		return err
	}
	s, err := startServer(o.dir, bin, hop, t)
	if err != nil {
		return err
	}
	defer s.stop()
	begin := time.Now()
	if err := submitAll(s.address, t); err != nil {
		return err
	}
	accepted := time.Since(begin)
	grown, err := s.peakRSS()
	if err != nil {
		return err
	}
	s.end()
	begin = time.Now()
	if err := s.start(); err != nil {
		return err
	}
	started := time.Since(begin)
	drained, err := drain(s, hop, t)
	full, rssErr := s.peakRSS()
	if err := errors.Join(err, rssErr); err != nil {
		return err
	}
	fmt.Printf("accepted %.0f/s, peak RSS %.0f MiB; listening again %d ms after the start; drained %.0f/s, peak RSS %.0f MiB\n\n",
		float64(t.messages)/accepted.Seconds(), grown, started.Milliseconds(), float64(t.messages)/drained.Seconds(), full)
	return nil
}

// drain brings the next hop back and has everything retried.
func drain(s *server, hop string, t traffic) (time.Duration, error) {
	c := newCounter(t)
	sink, err := appliancetest.ListenSink(hop, c.got)
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	begin := time.Now()
	if err := s.run("queue", "retry", "--recipient", "@example.net"); err != nil {
		return 0, err
	}
	err = c.wait()
	return time.Since(begin), err
}
