// Command bench measures Waxwing, and other mail servers beside it.
//
//	go run ./bench                  # Waxwing alone: everything but what follows behind the blank line
//	go run ./bench -only rate       # messages/s, DKIM on and off, connections kept and not
//	go run ./bench -only login      # the same with STARTTLS and AUTH
//	go run ./bench -only latency    # one message at a time
//	go run ./bench -only memory     # 200 messages of 5 MiB
//	go run ./bench -only flushes    # how often the disk is waited for
//	go run ./bench -only idle       # 500 connections that do nothing
//	go run ./bench -only queue      # 20,000 messages for a next hop that is down, and the drain
//	go run ./bench -only million    # the start over 1,000,000 messages
//
//	go run ./bench -only fairness   # 100,000 messages for 10,000 destinations, a tenth dead, beside new mail
//	go run ./bench -only soak       # ten minutes of kill -9, full disk and failing next hops; -for 2m is shorter
//	go run ./bench -only trust      # crashes, faults and kills: writes the table of docs/durability.md; two minutes
//
// With -peers the first part does the same to other mail servers, in turn:
//
//	go run ./bench -peers waxwing,postfix,exim -rounds 3
//	go run ./bench -peers all -rounds 3 -update   # writes the tables of docs/performance.md; as root
//
// bench/peers/install.sh installs them; make -C bench does both. What is measured, and how, is said in package compare.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/waxwing-mail/waxwing/bench/compare"
)

type options struct {
	only     string
	peers    string
	rounds   int
	messages int
	update   bool
	dir      string
	during   time.Duration
	seed     int64
}

func main() {
	if was, err := asStep(); was {
		exit(err)
		return
	}
	var o options
	flag.StringVar(&o.only, "only", "", `one of `+strings.Join(compare.Works, ", ")+`, fairness, soak and trust; everything but the last three if empty`)
	flag.StringVar(&o.peers, "peers", "waxwing", `what is measured, in this order: some of `+strings.Join(compare.All(), ", ")+`; or "all" that are installed`)
	flag.IntVar(&o.rounds, "rounds", 1, "how often each of them is measured, in turn")
	flag.IntVar(&o.messages, "n", 4000, "messages of each measurement of rates; other works are in proportion")
	flag.BoolVar(&o.update, "update", false, "write the tables into docs/performance.md")
	flag.StringVar(&o.dir, "dir", "bench/work", "work directory; put it on a real disk, not on tmpfs")
	flag.DurationVar(&o.during, "for", 10*time.Minute, "how long the soak is")
	flag.Int64Var(&o.seed, "seed", 0, "of the faults of the soak; 0 is another one each time")
	flag.Parse()
	exit(run(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	switch o.only {
	case "trust":
		return trust()
	case "fairness":
		return destinations(o)
	case "soak":
		bin, err := build(o.dir)
		if err != nil {
			return err
		}
		return soakOnce(o, bin)
	}
	return measure(o)
}

const (
	speedDocument = "docs/performance.md"
	speedBegin    = "<!-- measured -->\n"
	speedEnd      = "<!-- end -->\n"
)

// measure compares the peers and, if it is asked to and nothing has failed,
// writes what it found into docs/performance.md.
func measure(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := compare.Run(ctx, compare.Options{
		Peers: strings.Split(o.peers, ","), Rounds: o.rounds, Only: o.only, Messages: o.messages, Dir: o.dir, Progress: os.Stderr, Fill: fillMillion,
	})
	fmt.Print(report)
	if err != nil || !o.update {
		return err
	}
	if o.only != "" {
		return errors.New("-update writes all tables: leave -only out")
	}
	return replaceBetween(speedDocument, speedBegin, speedEnd, report)
}
