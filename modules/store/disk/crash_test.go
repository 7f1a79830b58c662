package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// onWrite is called before every operation that could change the disk.
type onWrite func(op errorfs.Op) error

func (f onWrite) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpLock {
		return nil
	}
	return f(op)
}

func (onWrite) String() string { return "on write" }

const (
	small = "\r\nHello.\r\n"
	large = maxInline + 10_000
)

// life takes messages through every state there is: small and large, mixed
// results, a report, a drop, and enough octets for a flush of the memtable.
// It goes on after errors, as a server does.
func life(s *Store, l *ledger) error {
	ctx := context.Background()
	big := strings.Repeat("0123456789abcdef\r\n", large/18+1)
	middling := strings.Repeat("x", maxInline-1000)
	errs := []error{
		l.put(s, "signer/x/key", "first"),
		l.commit(s, "m1", small, "a", "b"),
		l.commit(s, "m2", big, "a", "b"),
		l.commit(s, "m3", middling, "a"),
		l.commit(s, "m4", small, "a"),
	}
	leased, err := leaseAll(s, testTime.Add(time.Minute))
	errs = append(errs, err)
	for _, one := range leased {
		errs = append(errs, lifeOf(s, l, one))
	}
	again, err := leaseAll(s, testTime.Add(time.Hour))
	errs = append(errs, err)
	for _, one := range again {
		if one.Key.ID == "m1" || one.Key.ID == "m2" {
			errs = append(errs, l.deliver(s, one, nil, "b"))
		}
	}
	errs = append(errs, l.put(s, "signer/x/key", "second"), l.commit(s, "m5", big, "a"))
	l.note("m4", func(e *entry) { e.tried["a"] = true })
	n, err := s.Change(ctx, appliance.Filter{IDs: []appliance.QueueID{"m4"}}, appliance.ChangeDrop)
	if err == nil && n == 1 {
		l.note("m4", func(e *entry) { e.done["a"] = true })
	}
	return errors.Join(append(errs, err)...)
}

// lifeOf is the first attempt of a message.
func lifeOf(s *Store, l *ledger, one appliance.Leased) error {
	switch one.Key.ID {
	case "m1", "m2":
		return l.deliver(s, one, nil, "a")
	case "m3":
		report, err := accepted(s, "r3", large3, "ann")
		if err != nil {
			return err
		}
		l.note("r3", func(e *entry) { e.body, e.to = large3, 1 })
		if err := l.deliver(s, one, []appliance.Accepted{report}, "a"); err != nil {
			return errors.Join(err, report.Draft.Abort())
		}
		l.note("r3", func(e *entry) { e.acked = true })
		return nil
	}
	return l.deliver(s, one, nil) // put back
}

var large3 = strings.Repeat("report\r\n", large/8+1)

// TestPowerCutP1P2P3P4 cuts the power before every single operation on the
// disk. Of what had not been synced nothing, something, or everything is
// there afterwards.
func TestPowerCutP1P2P3P4(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := newLedger()
	var mu sync.Mutex
	cuts, checked, looked := 0, 0, 0
	cut := onWrite(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		cuts++
		for _, percent := range []int{0, 50, 100} {
			rng := rand.New(rand.NewPCG(uint64(cuts), uint64(percent)))
			after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			checked++
			looked += l.snapshot().check(t, after, fmt.Sprintf("cut %d before op %d of %s, %d%%", cuts, op.Kind, op.Path, percent))
		}
		return nil
	})
	s := newStore(t, errorfs.Wrap(mem, cut), "data")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := life(s, l); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.check(t, mem.CrashClone(vfs.CrashCloneCfg{}), "the end")
	if cuts < 100 {
		t.Errorf("only %d cuts: the test looks in the wrong place", cuts)
	}
	figures(t, "power cuts, one before each step", checked, looked)
}

// A moment is what was on the disk when the power was cut, and what the
// outside world knew then.
type moment struct {
	l     *ledger
	fs    *vfs.MemFS
	where string
}

// TestPowerCutConcurrent cuts the power at operations picked at random while
// 20 clients commit and a deliverer settles.
func TestPowerCutConcurrent(t *testing.T) {
	const seed, most = 1, 60
	mem := vfs.NewCrashableMem()
	l := newLedger()
	rng := rand.New(rand.NewPCG(seed, seed))
	var mu sync.Mutex
	var moments []moment
	cuts := onWrite(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if len(moments) == most || rng.IntN(4) > 0 {
			return nil
		}
		percent := []int{0, 30, 100}[len(moments)%3]
		known := l.snapshot() // before the cut: what is acknowledged later may be there
		after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		moments = append(moments, moment{known, after, fmt.Sprintf("moment %d before op %d of %s, %d%%", len(moments), op.Kind, op.Path, percent)})
		return nil
	})
	s := newStore(t, errorfs.Wrap(mem, cuts), "data")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	commitFrom20(t, s, l)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := l.snapshot()
	looked := 0
	for _, m := range moments {
		m.l.allow(end)
		looked += m.l.check(t, m.fs, m.where)
	}
	end.check(t, mem.CrashClone(vfs.CrashCloneCfg{}), "the end")
	if len(moments) < most {
		t.Errorf("only %d moments: the test looks in the wrong place", len(moments))
	}
	figures(t, "power cuts under load", len(moments), looked)
}

func commitFrom20(t *testing.T, s *Store, l *ledger) {
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := range 10 {
				body := strings.Repeat(fmt.Sprintf("%d.%d ", w, i), 1+w*i*30)
				if err := l.commit(s, appliance.QueueID(fmt.Sprintf("w%di%d", w, i)), body, "a", "b"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() { deliverSome(t, s, l, 100) })
	wg.Wait()
}

// TestPowerCutTwice cuts the power a second time, before every operation of a
// start that repairs what the first cut has left.
func TestPowerCutTwice(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := newLedger()
	var moments []moment
	var mu sync.Mutex
	ops := 0
	first := onWrite(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if ops++; ops%9 == 0 {
			rng := rand.New(rand.NewPCG(uint64(ops), 2))
			after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: ops % 3 * 50, RNG: rng})
			moments = append(moments, moment{l.snapshot(), after, fmt.Sprintf("cut before op %d of %s", op.Kind, op.Path)})
		}
		return nil
	})
	s := newStore(t, errorfs.Wrap(mem, first), "data")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(life(s, l), s.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	cuts, looked := 0, 0
	for _, m := range moments {
		n, k := m.cutAgain(t)
		cuts, looked = cuts+n, looked+k
	}
	if len(moments) < 10 || cuts < 100 {
		t.Errorf("%d first and %d second cuts: the test looks in the wrong place", len(moments), cuts)
	}
	figures(t, "second power cuts, during the start after one", cuts, looked)
}

// cutAgain starts and stops a store on what the first cut has left.
func (m moment) cutAgain(t *testing.T) (cuts, looked int) {
	var mu sync.Mutex
	second := onWrite(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		cuts++
		after := m.fs.CrashClone(vfs.CrashCloneCfg{})
		looked += m.l.check(t, after, fmt.Sprintf("%s, and again before op %d of %s", m.where, op.Kind, op.Path))
		return nil
	})
	s := newStore(t, errorfs.Wrap(m.fs, second), "data")
	if err := errors.Join(s.Start(t.Context()), s.Stop(t.Context())); err != nil {
		t.Errorf("%s: %v", m.where, err)
	}
	return cuts, looked
}

// allow lets everything be there that was under way at the time of l.
func (l *ledger) allow(end *ledger) {
	for id, e := range end.messages {
		was := l.messages[id]
		was.body, was.to, was.tried = e.body, e.to, e.tried
		l.messages[id] = was
	}
}

func deliverSome(t *testing.T, s *Store, l *ledger, n int) {
	for n > 0 {
		leased, err := s.Lease(t.Context(), appliance.LeaseRequest{
			Destination: "mx/example.net", Now: testTime, Until: testTime.Add(time.Hour), Max: 10,
		})
		if err != nil {
			t.Error(err)
			return
		}
		for i, one := range leased {
			to := [][]string{{"a", "b"}, {"a"}, {"b"}}[i%3]
			if err := l.deliver(s, one, nil, to...); err != nil {
				t.Error(err)
				return
			}
			n--
		}
	}
}
