package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/textproto"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// A soak keeps a real server under load and does everything to it that
// happens to servers. In its first half it is also killed, again and again;
// in the second half one process has to bear the rest, and is watched: what it
// holds must not grow.
//
// Afterwards every message that was answered 250 must have been delivered, or
// reported to its sender, and nothing may be left in the queue.
type soak struct {
	settings soakSettings
	rng      *rand.Rand // of the faults
	book     *soakLedger
	hop      *soakHop
	disk     *soakDisk // nil if it may not be mounted
	server   *soakServer
	next     atomic.Int64 // number of the last message
	faults   soakFaults
	held     soakHeld
}

// soakSettings say how a soak is made.
type soakSettings struct {
	during  time.Duration // load and faults; what follows takes no time to speak of
	clients int
	seed    uint64
	dir     string // an absolute path on a real disk
	bin     string
	mount   bool // with a disk that can be full: takes root
}

// soakDrain is how long the queue may take to get empty after the faults.
const soakDrain = 2 * time.Minute

// runSoak runs a soak and returns it, with an error if a promise was broken.
func runSoak(s soakSettings) (_ *soak, err error) {
	k := &soak{settings: s, rng: rand.New(rand.NewPCG(s.seed, 1)), book: newSoakLedger()}
	if s.dir, err = os.MkdirTemp(s.dir, "soak-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if k.hop, err = newSoakHop(k.book); err != nil {
		return nil, err
	}
	defer k.hop.close()
	var wrap []string
	if s.mount {
		if k.disk, err = newSoakDisk(s.dir); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, k.disk.release()) }()
		wrap = k.disk.wrap()
	}
	if k.server, err = newSoakServer(s.dir, s.bin, k.hop.address, wrap); err != nil {
		return nil, err
	}
	defer func() {
		if k.server.cmd != nil {
			err = errors.Join(err, k.server.kill())
		}
	}()
	if err := k.phases(); err != nil {
		return k, err
	}
	return k, k.verdict()
}

func (k *soak) phases() error {
	if err := k.server.start(); err != nil {
		return err
	}
	err := k.underLoad(func(ctx context.Context) error { return k.harass(ctx, true) })
	if err := errors.Join(err, k.drain()); err != nil {
		return err
	}
	k.server.end()
	if err := k.server.start(); err != nil {
		return err
	}
	if k.held.before, err = k.server.sample(); err != nil {
		return err
	}
	err = k.underLoad(func(ctx context.Context) error {
		watched := make(chan error, 1)
		go func() { watched <- k.watch(ctx) }()
		return errors.Join(k.harass(ctx, false), <-watched)
	})
	if err := errors.Join(err, k.drain()); err != nil {
		return err
	}
	if err := k.settle(); err != nil {
		return err
	}
	k.server.end()
	return nil
}

// underLoad submits mail while faults are done, for half of the time.
func (k *soak) underLoad(faults func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), k.settings.during/2)
	defer cancel()
	var clients sync.WaitGroup
	for c := range k.settings.clients {
		clients.Go(func() { k.submitUntil(ctx, rand.New(rand.NewPCG(k.settings.seed, uint64(c+2)))) })
	}
	err := faults(ctx)
	if err != nil {
		cancel()
	}
	clients.Wait()
	return err
}

// submitUntil is one client. After a refusal, and when the server has died, it
// connects again.
func (k *soak) submitUntil(ctx context.Context, rng *rand.Rand) {
	for sleep(ctx, time.Duration(rng.IntN(50))*time.Millisecond) {
		c, err := appliancetest.DialSubmitter(appliancetest.SubmitConfig{Address: k.server.address})
		if err != nil {
			continue
		}
		for range 1 + rng.IntN(30) {
			if !sleep(ctx, time.Duration(rng.IntN(60))*time.Millisecond) || k.submit(c) != nil {
				break
			}
		}
		c.Close()
	}
}

func (k *soak) submit(c *appliancetest.Submitter) error {
	n := int(k.next.Add(1))
	_, err := c.Submit(soakSender(n), []string{"someone@example.net"}, soakMessage(n))
	var said *textproto.Error
	k.book.note(n, func(m *soakMail) { m.acked, m.refused = err == nil, errors.As(err, &said) })
	return err
}

// drain waits until every message has come to its end.
func (k *soak) drain() error {
	for end := time.Now().Add(soakDrain); k.book.missing() > 0; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d messages that were answered 250 have not arrived %v after the last fault", k.book.missing(), soakDrain)
		}
		if err := k.retry(); err != nil {
			return err
		}
	}
	return nil
}

// retry makes everything due. The command has nothing to do, and says so with
// an error, while all that is left is being attempted: that the server answers
// another one is enough.
func (k *soak) retry() error {
	cmd := k.server.command("queue", "retry", "--recipient", "@example.net")
	cmd.Stderr = nil
	if cmd.Run() == nil {
		return nil
	}
	_, err := k.server.queued()
	return err
}

// settle waits until the server is as idle as it was before.
func (k *soak) settle() error {
	for end := time.Now().Add(soakDrain); ; time.Sleep(500 * time.Millisecond) {
		queued, err := k.server.queued()
		if err != nil {
			return err
		}
		if k.held.after, err = k.server.sample(); err != nil {
			return err
		}
		if queued == 0 && k.held.returned() {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d deliveries still queued; %s", queued, k.held.idle())
		}
	}
}

// verdict says which promises were broken.
func (k *soak) verdict() error {
	f := k.book.figures()
	var errs []error
	for _, broken := range []struct {
		n    int
		what string
	}{
		{f.lost, "messages are lost (P1)"},
		{f.ghosts, "messages arrived although they were refused, or nobody had sent them (P2)"},
		{f.torn, "messages arrived torn (P3)"},
		{max(0, f.again-k.mayRepeat()), "messages more came twice than were in flight (P4)"},
	} {
		if broken.n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", broken.n, broken.what))
		}
	}
	if left, err := k.leftBodies(); err != nil || left > 0 {
		errs = append(errs, fmt.Errorf("%d bodies left behind by an empty queue, %w", left, err))
	}
	return errors.Join(append(errs, k.held.verdict())...)
}

// mayRepeat is how many deliveries may have been repeated at most: those whose
// answer was lost.
func (k *soak) mayRepeat() int { return k.faults.cuts()*soakInFlight + int(k.hop.drops.Load()) }

func (k *soak) leftBodies() (int, error) {
	dir := filepath.Join(filepath.Dir(k.server.config()), "data", "bodies")
	if k.disk != nil {
		dir = k.disk.path("bodies")
	}
	names, err := os.ReadDir(dir)
	return len(names), err
}
