package main

import (
	"errors"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/bench/compare"
	"github.com/waxwing-mail/waxwing/bench/peers"
)

var _ compare.Fill = fillMillion

// fillMillion implements compare.Fill, by millionStep.
func fillMillion(dir, nextHop string, n int) error {
	_, err := fairness{Messages: n, Dir: dir, NextHop: nextHop}.run(million)
	return err
}

// millionDue is when the last of the messages becomes due.
const millionDue = 4 * time.Hour

// millionStep queues messages as they lie there when one next hop has been
// away for hours: each has been tried, and waits for its turn.
func millionStep(f fairness) (found, error) {
	b, err := openBench(f.Dir)
	if err != nil {
		return found{}, err
	}
	n := 0
	wait := func(m *appliance.Accepted) {
		deferred(m)
		m.Envelope.From.Domain = peers.SenderDomain
		d := &m.Deliveries[0]
		d.Destination = peers.WaxwingDestination(f.NextHop)
		d.Due = time.Now().Add(millionDue * time.Duration(n) / time.Duration(f.Messages))
		n++
	}
	err = b.commit(f.Messages, b.store, func(int) string { return peers.RecipientDomain }, wait)
	return found{}, errors.Join(err, b.stop())
}
