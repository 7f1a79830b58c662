package compare

import (
	"errors"
	"testing"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// named is a peer that is only a name.
type named struct {
	direct
	name  string
	needs peers.Needs
}

func (n named) Name() string       { return n.name }
func (n named) Needs() peers.Needs { return n.needs }

func tableOf(rows ...*row) *table {
	return &table{
		stage: &stage{only: "rate"},
		work:  &work{title: "Mail", note: "Much of it.", columns: []column{{name: "per second", ratio: true}, {name: "ms", digits: 2, less: true, ratio: true}}},
		rows:  rows,
	}
}

func someTable() *table {
	return tableOf(
		&row{peer: named{name: "waxwing"}, rounds: [][]float64{{1200, 0.5}, {3000, 0.25}, {1500, 0.4}}},
		&row{peer: named{name: "postfix"}, rounds: [][]float64{{400, 5}, {1000, 1}, {500, 4}}},
		&row{peer: named{name: "exim"}, rounds: [][]float64{{600, 10}, {1500, 20}, {750, none}}},
		&row{peer: named{name: "broken"}, rounds: [][]float64{{none, none}}, failed: errors.New("lost\none")},
		&row{peer: named{name: "strict"}, skipped: "takes nothing"},
	)
}

func TestTable(t *testing.T) {
	const want = `#### Mail

Much of it.

|  | per second | to waxwing | to exim | ms |
|---|---|---|---|---|
| waxwing | 1,500 (1,200–3,000) | 1.0× | 2.0× | 0.40 (0.25–0.50) |
| postfix | 500 (400–1,000) | 0.33× | 0.67× | 4.00 (1.00–5.00) |
| exim | 750 (600–1,500) | 0.50× | 1.0× | 15.00 (10.00–20.00) |
| broken | – | – | – | – |

broken failed: lost; one

strict takes nothing.
`
	if got := someTable().markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The best peer is not Waxwing itself, and of what costs it is the one with
// less.
func TestBest(t *testing.T) {
	for i, want := range []string{"exim", "postfix"} {
		if got := someTable().best(i); got == nil || got.peer.Name() != want {
			t.Errorf("column %d: the best is %+v, want %s", i, got, want)
		}
	}
	if got := tableOf(&row{peer: named{name: "waxwing"}, rounds: [][]float64{{1, 1}}}).best(0); got != nil {
		t.Errorf("with nobody else the best is %s", got.peer.Name())
	}
}

func TestSummary(t *testing.T) {
	tab := someTable()
	r := &run{tables: []*table{tab}}
	for _, row := range tab.rows {
		r.peers = append(r.peers, row.peer)
	}
	const want = `
#### Beside the others

Where less is better, "↓", a ratio below 1 is the better one. Ratios are medians of those of each round.

|  | best peer | its figure | waxwing | to postfix | to the best |
|---|---|---|---|---|---|
| Mail: per second | exim | 750 | 1,500 | 3.0× | 2.0× |
| Mail: ms ↓ | postfix | 4.00 | 0.40 | 0.10× | 0.10× |
`
	if got := r.summary(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFormat(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := (column{}).format(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
	if got := (column{digits: 2}).format(1234.567); got != "1,234.57" {
		t.Errorf("got %q", got)
	}
}
