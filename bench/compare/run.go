package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// Options say what is measured.
type Options struct {
	Peers    []string // names, in the order of the tables; the first is what ratios are printed to. Or Everybody
	Rounds   int      // at least 1
	Only     string   // one of Works, or "" for everything
	Messages int      // of each measurement of rates; the numbers of the other works are in proportion. 4,000 is what is published
	Dir      string   // on the disk that is measured
	Progress io.Writer
	Fill     Fill
}

// Fill leaves n messages for a next hop in the data directory of Waxwing,
// which does not run: some are due each second of the next hours. It does so in
// a process of its own, since the memory of this one is full of what it measures
// with.
type Fill func(dir, nextHop string, n int) error

// Everybody is all peers that are installed.
const Everybody = "all"

// Works are what Options.Only can name.
var Works = []string{"rate", "login", "latency", "memory", "flushes", "idle", "queue", "million"}

// All are the names of all peers.
func All() []string {
	var names []string
	for _, p := range peers.All() {
		names = append(names, p.Name())
	}
	return names
}

// run is one comparison.
type run struct {
	Options
	dir     string // removed in the end
	keys    *keys
	peers   []peers.Peer
	absent  []string // why others are not among them
	machine machine
	tables  []*table
	errs    []error
	current atomic.Pointer[site]
}

func (r *run) scale() float64 { return float64(r.Messages) / rateMessages }

// Run measures and returns the report, as Markdown. There is a report beside
// an error too, if something could be measured. When the context ends, the peer
// that is running is killed, and nothing is left behind.
func Run(ctx context.Context, o Options) (_ string, err error) {
	r := &run{Options: o}
	if err := r.choose(); err != nil {
		return "", err
	}
	if r.dir, err = newRunDir(o.Dir); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if r.keys, err = newKeys(r.dir); err != nil {
		return "", err
	}
	if r.machine, err = newMachine(r.dir, r.peers); err != nil {
		return "", err
	}
	r.machine.versions = append(r.machine.versions, r.absent...)
	defer context.AfterFunc(ctx, r.kill)()
	all := r.stages()
	for round := range o.Rounds {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err := r.machine.measure(r.keys.rsa); err != nil {
			return "", err
		}
		r.round(ctx, round, all)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return r.report(), errors.Join(r.errs...)
}

// kill makes the work that is under way fail.
func (r *run) kill() {
	if s := r.current.Load(); s != nil {
		_ = s.box.Kill() // closing it says what is left
	}
}

func newRunDir(in string) (string, error) {
	in, err := filepath.Abs(in)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(in, 0o755); err != nil {
		return "", err
	}
	return newDir(in, "run-")
}

// choose finds the peers. One that is named and not installed ends the run
// before anything has been measured.
func (r *run) choose() error {
	if r.Only != "" && !slices.Contains(Works, r.Only) {
		return fmt.Errorf("there is no work %q: write one of %s", r.Only, strings.Join(Works, ", "))
	}
	if r.Rounds < 1 || r.Messages < 1 {
		return errors.New("at least one round of one message has to be measured")
	}
	if slices.Equal(r.Peers, []string{Everybody}) {
		if os.Geteuid() != 0 {
			return errors.New("most peers are started by root only: name those that are not")
		}
		r.chooseInstalled(peers.All())
		return nil
	}
	known := peers.All()
	for _, name := range r.Peers {
		i := slices.IndexFunc(known, func(p peers.Peer) bool { return p.Name() == name })
		if i < 0 {
			return fmt.Errorf("there is no peer %q: write some of %s", name, strings.Join(All(), ", "))
		}
		if peers.NeedsOf(known[i]).Root && os.Geteuid() != 0 {
			return fmt.Errorf("%s is started by root only", name)
		}
		r.peers = append(r.peers, known[i])
	}
	if len(r.peers) == 0 {
		return errors.New("no peer is named")
	}
	return nil
}

// chooseInstalled takes whoever is there. The report says who is not.
func (r *run) chooseInstalled(known []peers.Peer) {
	for _, p := range known {
		if _, err := p.Version(); err != nil {
			r.absent = append(r.absent, fmt.Sprintf("%s: not measured: %v", p.Name(), err))
			continue
		}
		r.peers = append(r.peers, p)
	}
}

// stages are those that are asked for, each work with an empty table.
func (r *run) stages() []stage {
	all := slices.DeleteFunc(stages(r.Fill, r.scale()), func(st stage) bool {
		return r.Only != "" && st.only != r.Only || st.own && !slices.ContainsFunc(r.peers, isOwn)
	})
	for i := range all {
		for _, w := range all[i].works {
			t := &table{work: w, stage: &all[i]}
			for _, p := range r.runners(&all[i]) {
				t.rows = append(t.rows, &row{peer: p, skipped: all[i].skips(p)})
			}
			r.tables = append(r.tables, t)
		}
	}
	return all
}

// runners are the peers of a stage in their turn.
func (r *run) runners(st *stage) []peers.Peer {
	if st.direct {
		return append([]peers.Peer{direct{}}, r.peers...)
	}
	return r.peers
}

func (r *run) round(ctx context.Context, round int, all []stage) {
	for i := range all {
		st := &all[i]
		if st.once && round > 0 {
			continue
		}
		for _, p := range r.runners(st) {
			if st.skips(p) == "" && ctx.Err() == nil {
				r.do(round, st, p)
			}
		}
	}
}

// do does the works of a stage to a peer.
func (r *run) do(round int, st *stage, p peers.Peer) {
	s, err := r.openFor(st, p)
	for _, w := range st.works {
		var values []float64
		began := time.Now()
		if err == nil {
			values, err = w.run(s)
		}
		r.note(round, w, p, values, err)
		r.progress(round, w, p, values, time.Since(began))
	}
	if s == nil {
		return
	}
	if err := s.close(); err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", p.Name(), err))
	}
}

// openFor opens a site for a stage and warms it up.
func (r *run) openFor(st *stage, p peers.Peer) (*site, error) {
	o := st.siteOptions
	o.login = o.login || peers.NeedsOf(p).Login
	if p == (direct{}) {
		o.login, o.sign = false, false
	}
	s, err := r.openSite(p, o)
	if err != nil {
		return nil, err
	}
	if p == (direct{}) {
		s.setup.Address = s.setup.NextHop
	}
	if !o.down && st.only != "idle" {
		_, err = s.send(warmUp)
	}
	return s, err
}

// note keeps what was found. A work that failed counts as not measured.
func (r *run) note(round int, w *work, p peers.Peer, values []float64, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %s: %w", p.Name(), w.title, err))
		values = nil
	}
	for len(values) < len(w.columns) {
		values = append(values, none)
	}
	for _, t := range r.tables {
		if t.work == w {
			t.of(p).rounds = append(t.of(p).rounds, values)
			if err != nil {
				t.of(p).failed = err
			}
		}
	}
}

func (r *run) progress(round int, w *work, p peers.Peer, values []float64, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s round %d, %s, %s:", time.Now().Format("15:04:05"), round+1, w.title, p.Name())
	for i, v := range values {
		fmt.Fprintf(&b, " %s %s;", w.columns[i].format(v), w.columns[i].name)
	}
	fmt.Fprintf(&b, " %.1f s\n", took.Seconds())
	_, _ = io.WriteString(r.Progress, b.String())
}
