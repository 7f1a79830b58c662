// Command bench measures Waxwing against the machine it runs on.
//
//	go run ./bench                  # everything, about two minutes
//	go run ./bench -only rate       # messages/s, DKIM on and off
//	go run ./bench -only memory     # peak RSS with 200 messages of 5 MiB to a slow sink
//	go run ./bench -only queue      # 20,000 messages for a next hop that is down, a restart, and the drain
//	go run ./bench -only fairness   # 100,000 messages for 10,000 destinations, a tenth dead, beside new mail
//	go run ./bench -only soak       # ten minutes of kill -9, full disk and failing next hops; -for 2m is shorter
//	go run ./bench -only trust      # crashes, faults and kills: writes the table of docs/durability.md; two minutes
//
// But for the last, which is about the queue alone, it builds the waxwing binary, starts it on loopback ports with a data
// directory on a real disk, and runs load and sink in its own process. In the
// same run it measures the load generator talking to the sink directly: the
// ratio to that, not the absolute figure, is what can be compared between
// machines and days.
//
//	accepted/s   messages answered 250, which is after they are durable
//	delivered/s  messages that have arrived at the sink, from the first MAIL on
//	CPU ms       user and system time of the waxwing process per message
//	peak RSS     VmHWM of the waxwing process
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"
	"time"
)

type options struct {
	only     string
	messages int
	clients  int
	size     int
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
	flag.StringVar(&o.only, "only", "", `"rate", "memory", "queue", "fairness", "soak" or "trust"; everything but the last two if empty`)
	flag.IntVar(&o.messages, "n", 5000, "messages per rate measurement")
	flag.IntVar(&o.clients, "clients", 50, "concurrent clients of the rate measurement")
	flag.IntVar(&o.size, "size", 4096, "octets per message of the rate measurement")
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
	if o.only == "trust" {
		return trust()
	}
	bin, err := build(o.dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, %s/%s, GOMAXPROCS %d\n\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	switch o.only {
	case "":
		return errors.Join(rates(o, bin), memory(o, bin), backlog(o, bin), destinations(o))
	case "rate":
		return rates(o, bin)
	case "memory":
		return memory(o, bin)
	case "queue":
		return backlog(o, bin)
	case "fairness":
		return destinations(o)
	case "soak":
		return soakOnce(o, bin)
	}
	return fmt.Errorf("-only %q: write rate, memory, queue, fairness, soak or trust", o.only)
}

// rates measures messages/s, first of load and sink alone, then through
// Waxwing without and with DKIM, over one keep-alive connection per client.
func rates(o options, bin string) error {
	fmt.Printf("%d messages of %d octets, %d clients, keep-alive, no TLS\n", o.messages, o.size, o.clients)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\taccepted/s\tdelivered/s\tof direct\tCPU ms\tpeak RSS MiB\t")
	t := traffic{messages: o.messages, clients: o.clients, size: o.size}
	direct, err := measureDirect(t)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "direct to the sink\t%.0f\t%.0f\t1.00\t\t\t\n", direct.accepted, direct.delivered)
	for _, t.signed = range []bool{false, true} {
		m, err := measure(o, bin, t)
		if err != nil {
			return err
		}
		name := "waxwing, DKIM off"
		if t.signed {
			name = "waxwing, DKIM RSA-2048"
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t\n", name,
			m.accepted, m.delivered, m.delivered/direct.delivered, m.cpuMillis, m.peakRSS)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println()
	return nil
}

// memory measures the peak RSS while big messages come in faster than they
// can go out.
func memory(o options, bin string) error {
	t := traffic{messages: 200, clients: 10, size: 5 << 20, signed: true, delay: 200 * time.Millisecond}
	fmt.Printf("%d messages of %d MiB, %d clients, a sink that waits %v before each 250, DKIM on\n", t.messages, t.size>>20, t.clients, t.delay)
	m, err := measure(o, bin, t)
	if err != nil {
		return err
	}
	verdict := "below"
	if m.peakRSS >= 150 {
		verdict = "NOT below"
	}
	fmt.Printf("peak RSS %.0f MiB (%s the 150 MiB we promise), accepted %.0f MB/s, delivered %.0f MB/s, %d of %d delivered\n\n",
		m.peakRSS, verdict, m.accepted*float64(t.size)/1e6, m.delivered*float64(t.size)/1e6, m.count, t.messages)
	return nil
}
