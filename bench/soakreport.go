package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// soakOnce is -only soak.
func soakOnce(o options, bin string) error {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	s := soakSettings{during: o.during, clients: 10, seed: uint64(o.seed), dir: dir, bin: bin, mount: mayMount()}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	k, err := runSoak(s)
	if k != nil {
		fmt.Println(k.report())
	}
	return err
}

// report is a table for docs/durability.md.
func (k *soak) report() string {
	f := k.book.figures()
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	disk := "a directory (not root: no full disk)"
	if k.disk != nil {
		disk = fmt.Sprintf("ext4 of %d MiB", soakDiskSize>>20)
	}
	row("soak", "%v", k.settings.during)
	row("---", "---")
	row("load and seed", "%d clients, %d submissions, %s, seed %d", k.settings.clients, k.next.Load(), disk, k.settings.seed)
	row("faults", "%v", k.faults)
	row("answered 250", "%d", f.acked)
	row("delivered, reported to the sender", "%d, %d (of these %d whose client got no answer)", f.arrived, f.reported, f.unanswered)
	row("**lost**, refused and delivered, torn", "**%d**, %d, %d", f.lost, f.ghosts, f.torn)
	row("delivered again", "%d; %d were at most in flight at a fault", f.again, k.mayRepeat())
	if len(k.held.during) > 0 {
		row("goroutines", "%.0f idle before, %.0f after; %+.2f a minute under load", k.held.before.goroutines, k.held.after.goroutines, k.held.slope(goroutinesOf))
		row("descriptors", "%.0f idle before, %.0f after; %+.2f a minute under load", k.held.before.descriptors, k.held.after.descriptors, k.held.slope(descriptorsOf))
		row("resident set", "%.0f MiB on average; %+.2f MiB a minute", mean(k.held.during, rssOf), k.held.slope(rssOf))
	}
	return b.String()
}
