package appliance

import (
	"bufio"
	"errors"
	"strings"
	"sync"
	"testing"
)

// TestMemory_P17: a loan grows in steps, does not count what is free, and gives
// back all of it, once.
func TestMemory_P17(t *testing.T) {
	m := NewMemory(1 << 20)
	l := m.Lend(1000)
	for _, step := range []struct {
		take int
		used Size
	}{{1000, 0}, {1, loanStep}, {loanStep - 1, loanStep}, {1, 2 * loanStep}, {3 * loanStep, 5 * loanStep}} {
		if err := l.Take(step.take); err != nil || m.Used() != step.used {
			t.Fatalf("after %d more: %v, used %d, want %d", step.take, err, m.Used(), step.used)
		}
	}
	l.Return()
	l.Return()
	if m.Used() != 0 {
		t.Errorf("%d are missing", m.Used())
	}
	if err := l.Take(1000 + 1); err != nil || m.Used() != loanStep {
		t.Errorf("used again: %v, %d", err, m.Used())
	}
}

// TestMemory_Fair_P17: however many messages take what they can get, there is
// something left for connections, and for messages that are modest.
func TestMemory_Fair_P17(t *testing.T) {
	m := NewMemory(16 << 20)
	greedy := make([]Loan, 100)
	for i := range greedy {
		greedy[i] = m.Lend(0)
		for greedy[i].Take(loanStep) == nil {
			continue
		}
		if i == 0 && m.Used() != 3<<20 {
			t.Errorf("the first got %s, want a quarter of what messages may have", m.Used())
		}
	}
	if m.Used() > 12<<20 {
		t.Errorf("messages have %s, so that nothing is kept for connections", m.Used())
	}
	for range 60 {
		connection := m.LendConnection()
		modest := m.Lend(transactionFree)
		if err := errors.Join(connection.Take(64<<10), modest.Take(transactionFree)); err != nil {
			t.Fatalf("with %s in use: %v", m.Used(), err)
		}
		defer connection.Return()
	}
	for i := range greedy {
		greedy[i].Return()
	}
	modest := m.Lend(0)
	if err := modest.Take(2 << 20); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestMemory_Limit: the limit holds whoever asks at the same time, and a lower
// one for what is asked later.
func TestMemory_Limit(t *testing.T) {
	m := NewMemory(1 << 20)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				l := m.LendConnection()
				for l.Take(loanStep) == nil {
					continue
				}
				if m.Used() > 1<<20 {
					t.Error("more is in use than there is")
				}
				l.Return()
			}
		})
	}
	all.Wait()
	if m.Used() != 0 {
		t.Errorf("%d are missing", m.Used())
	}
	l := m.Lend(0)
	m.SetLimit(loanStep)
	if err := l.Take(1); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond a lower limit: %v", err)
	}
}

// TestMemory_Default: what the administrator says; else a part of what there
// is, and never so little that a header could not be taken.
func TestMemory_Default(t *testing.T) {
	for _, c := range []struct{ set, available, want Size }{
		{32 << 20, 1 << 40, 32 << 20},
		{0, 512 << 20, 128 << 20},
		{0, 1 << 40, 256 << 20},
		{0, 0, 256 << 20},
		{0, 16 << 20, 16 << 20},
	} {
		l := DefaultSettings().Limits
		l.MaxMemory = c.set
		got := l.memory(c.available)
		if got != c.want {
			t.Errorf("set %s, available %s: %s, want %s", c.set, c.available, got, c.want)
		}
		loan := NewMemory(l.MinMemory()).Lend(transactionFree)
		text := "X: " + strings.Repeat("x", int(l.MaxHeader)-5) + "\r\n"
		if h, err := readHeader(bufio.NewReaderSize(strings.NewReader(text), 1024), int(l.MaxHeader), &loan); err != nil || h.Len() != int(l.MaxHeader) {
			t.Errorf("a header of the largest size: %v", err)
		}
	}
}

// TestReadHeader_Memory_P17: a header ends where its memory does, be it long or
// of many fields.
func TestReadHeader_Memory_P17(t *testing.T) {
	many := strings.Repeat("a:\r\n", 9000)
	long := "Subject:" + strings.Repeat(" "+strings.Repeat("x", 70)+"\r\n", 9000)
	for name, text := range map[string]string{"many": many, "long": long} {
		m := NewMemory(512 << 10)
		loan := m.Lend(0)
		_, err := readHeader(bufio.NewReader(strings.NewReader(text)), 1<<20, &loan)
		if !errors.Is(err, ErrBusy) || !ReplyTo(err).Temporary() {
			t.Errorf("%s: %v", name, err)
		}
		loan.Return()
		if m.Used() != 0 {
			t.Errorf("%s: %d are missing", name, m.Used())
		}
	}
	m := NewMemory(16 << 20)
	loan := m.Lend(0)
	if _, err := readHeader(bufio.NewReader(strings.NewReader(many)), 1<<20, &loan); err != nil || m.Used() < 9000*fieldCost {
		t.Errorf("many fields: %v, and %s lent", err, m.Used())
	}
}
