package appliance

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrBusy is the answer to a message that there is no memory for now. RFC 3463,
// section 3.4: X.3.1 is "mail system storage has been exceeded".
var ErrBusy = NewReply(452, 3, 1, "Too busy with other mail; please try again in a few minutes")

// A Memory is the budget of what clients can make this process keep for them at
// the same time: sessions, envelopes and headers. Bodies have one of their own
// in the store, which writes them to disk beyond it.
//
// A message may have a quarter of what the others have left, and a quarter of
// the whole is for connections alone. So the more is in use the less each gets,
// and ordinary mail, which costs little beside its connection, goes on however
// many hold on to large headers.
//
// The methods may be called from many goroutines at once. A nil Memory lends
// without limit.
type Memory struct {
	limit, used atomic.Int64
	refused     prometheus.Counter
}

// fairPart is the part of what is free that one message may have, and that of
// the budget which no message may have.
const fairPart = 4

// NewMemory returns a budget of so many octets.
func NewMemory(limit Size) *Memory {
	m := &Memory{refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_memory_refused_total",
		Help: "Connections and commands answered 421 or 452 because limits.max_memory was in use.",
	})}
	m.SetLimit(limit)
	return m
}

// SetLimit changes the budget. What is lent stays lent.
func (m *Memory) SetLimit(limit Size) { m.limit.Store(int64(limit)) }

// Used is how much is lent, in octets.
func (m *Memory) Used() Size { return Size(m.used.Load()) }

// Lend opens a loan for a message, of which the first free octets do not count.
func (m *Memory) Lend(free Size) Loan { return Loan{from: m, free: int64(free)} }

// LendConnection opens a loan for a connection, which may have the last of the
// budget.
func (m *Memory) LendConnection() Loan { return Loan{from: m, last: true} }

// grow adds more to a loan of have octets, if there is as much for it.
func (m *Memory) grow(have, more int64, last bool) bool {
	for {
		used, limit := m.used.Load(), m.limit.Load()
		most := limit - (used - have)
		if !last {
			most = (most - limit/fairPart) / fairPart
		}
		if have+more > most {
			m.refused.Inc()
			return false
		}
		if m.used.CompareAndSwap(used, used+more) {
			return true
		}
	}
}

// collectors are the metrics of the budget.
func (m *Memory) collectors() []prometheus.Collector {
	gauge := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
	}
	return []prometheus.Collector{
		m.refused,
		gauge("waxwing_memory_used_bytes", "Octets of limits.max_memory in use by sessions, envelopes and headers.", &m.used),
		gauge("waxwing_memory_limit_bytes", "What limits.max_memory is.", &m.limit),
	}
}

// loanStep is what a loan grows by, in octets.
const loanStep = 16 << 10

// A Loan is what one borrower has of a [Memory]. The zero value has no limit.
// It is used by one goroutine at a time.
type Loan struct {
	from *Memory
	last bool  // it may have the last of it
	free int64 // what does not count
	need int64 // what was asked for
	have int64 // what the Memory has lent
}

// Take asks for n more octets. The error is ErrBusy; what was asked for counts
// nevertheless, until Return.
func (l *Loan) Take(n int) error {
	l.need += int64(n)
	if l.from == nil || l.need-l.free <= l.have {
		return nil
	}
	more := (l.need - l.free - l.have + loanStep - 1) / loanStep * loanStep
	if !l.from.grow(l.have, more, l.last) {
		return ErrBusy
	}
	l.have += more
	return nil
}

// Return gives all of it back. The loan may be used again.
func (l *Loan) Return() {
	if l.from != nil {
		l.from.used.Add(-l.have)
	}
	l.need, l.have = 0, 0
}

// The default of limits.max_memory.
const (
	memoryPart       = 4         // of the memory that the process may use
	maxDefaultMemory = 256 << 20 // and no more
	// headerCost is what an octet of a header is taken to cost: it is copied
	// when it is parsed, changed and signed.
	headerCost = 2
	// fieldCost is what a field costs beside its octets.
	fieldCost = 64
	// recipientCost is what a recipient costs beside the octets of its address.
	recipientCost = 256
	// transactionFree is what a transaction may have without counting: it is a
	// part of what its session was charged for.
	transactionFree = 32 << 10
)

// MinMemory is the least budget with which a header of the largest size is
// taken when nothing else is under way.
func (l *Limits) MinMemory() Size { return 2 * fairPart * headerCost * l.MaxHeader }

// memory is the budget, where the process may use so much, 0 being unknown.
func (l *Limits) memory(available Size) Size {
	switch {
	case l.MaxMemory > 0:
		return l.MaxMemory
	case available > 0:
		return max(min(available/memoryPart, maxDefaultMemory), l.MinMemory())
	}
	return max(maxDefaultMemory, l.MinMemory())
}
