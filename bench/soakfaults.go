package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// soakFaults counts what was done to the server and its next hop.
type soakFaults struct {
	kills, full, away, refusing, slow int
}

// cuts is how many times everything that was in flight may have been
// delivered without an answer.
func (f soakFaults) cuts() int { return f.kills + f.away }

func (f soakFaults) String() string {
	return fmt.Sprintf("%d × kill -9, %d × disk full, next hop %d × away, %d × refusing, %d × slow",
		f.kills, f.full, f.away, f.refusing, f.slow)
}

// harass does one fault after the other until ctx ends, in a random order.
// Every fault is over when it returns.
func (k *soak) harass(ctx context.Context, kill bool) error {
	for sleep(ctx, k.between(500, 2500)) {
		fault := k.fault
		if kill && k.rng.IntN(2) == 0 {
			fault = k.killAgain
		}
		if err := fault(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fault is one that a process survives.
func (k *soak) fault(ctx context.Context) error {
	switch n := k.rng.IntN(6); {
	case n < 2 && k.disk != nil:
		return k.fillDisk(ctx)
	case n < 4:
		return k.awayHop(ctx)
	case n < 5:
		k.faults.refusing++
		k.hop.refuses.Store(true)
		defer k.hop.refuses.Store(false)
	default:
		k.faults.slow++
		k.hop.slow.Store(true)
		defer k.hop.slow.Store(false)
	}
	sleep(ctx, k.between(500, 3000))
	return nil
}

func (k *soak) between(least, most int) time.Duration {
	return time.Duration(least+k.rng.IntN(most-least)) * time.Millisecond
}

// sleep says whether ctx lasted longer than d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// killAgain kills the server, now and then once more while it starts.
func (k *soak) killAgain(context.Context) error {
	k.faults.kills++
	if err := k.server.kill(); err != nil {
		return err
	}
	if k.rng.IntN(4) == 0 {
		cmd := k.server.command("run")
		if err := cmd.Start(); err != nil {
			return err
		}
		time.Sleep(k.between(0, 150))
		k.faults.kills++
		k.server.cmd = cmd
		if err := k.server.kill(); err != nil {
			return err
		}
	}
	return k.server.start()
}

func (k *soak) awayHop(ctx context.Context) error {
	k.faults.away++
	k.hop.close()
	sleep(ctx, k.between(200, 3000))
	return k.hop.open()
}

// fillDisk takes all the space there is for a while.
func (k *soak) fillDisk(ctx context.Context) error {
	k.faults.full++
	name := k.disk.path("fill")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(f, zeros{}, 4<<20)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, os.Remove(name))
	}
	sleep(ctx, k.between(1000, 3000))
	return os.Remove(name)
}

// zeros is a file of zeros without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
