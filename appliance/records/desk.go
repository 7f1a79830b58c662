package records

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Desk answers for one configuration: for the one that a server runs, or for
// one that a command has loaded.
type Desk struct {
	Graph    *appliance.Graph
	Resolver appliance.Resolver // a DNS, to compare
	Options  Options
}

// A List is the records that are wanted.
type List struct {
	Records []Record `json:"records"`
	Missing []string `json:"missing"` // what could not be known, a sentence each with what to do
}

// A Comparison is how they stand.
type Comparison struct {
	Found   []Difference `json:"found"`
	Missing []string     `json:"missing"`
}

// OK says that everything that is needed is there.
func (c *Comparison) OK() bool {
	for i := range c.Found {
		if d := &c.Found[i]; d.Needed && !d.OK() {
			return false
		}
	}
	return true
}

// A Publication is what was, or would be, done about them.
type Publication struct {
	Through string   `json:"through"` // "dns.zone"
	Changes []Change `json:"changes"`
	Missing []string `json:"missing"`
}

// Wanted lists the records of some domains and hosts, or all. The error is
// fs.ErrNotExist if there is no record of one of them.
func (d *Desk) Wanted(names []string) (List, error) {
	f := Survey(d.Graph, d.Options)
	all := Wanted(f)
	chosen, unknown := Select(all, normal(names))
	if len(unknown) > 0 {
		return List{}, &nameError{unknown, Domains(all)}
	}
	return List{filled(chosen), filled(f.Missing)}, nil
}

// filled is a list for JSON: an empty one instead of none.
func filled[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// normal are names as records have them.
func normal(names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = strings.ToLower(bare(n))
		if d, err := appliance.ParseDomain(all[i]); err == nil {
			all[i] = d
		}
	}
	return all
}

// A nameError says that the configuration has nothing to do with a name.
type nameError struct{ unknown, known []string }

func (e *nameError) Error() string {
	text := strings.Join(e.unknown, ", ") + ": the configuration sends no mail from it"
	if len(e.known) == 0 {
		return text + ", nor from any other domain"
	}
	return text + "; it has records of " + strings.Join(e.known, ", ")
}

func (*nameError) Unwrap() error { return fs.ErrNotExist }

// Check compares them with what the name servers say.
func (d *Desk) Check(ctx context.Context, names []string) (Comparison, error) {
	list, err := d.Wanted(names)
	if err != nil {
		return Comparison{}, err
	}
	dns, ok := d.Resolver.(DNS)
	if !ok {
		return Comparison{}, &cannotError{"the resolver of this program cannot ask name servers themselves"}
	}
	return Comparison{Compare(ctx, dns, list.Records), list.Missing}, nil
}

// Plan says what Publish would do.
func (d *Desk) Plan(ctx context.Context, names []string, through string) (Publication, error) {
	_, addr, err := ProviderOf(d.Graph, through)
	if err != nil {
		return Publication{}, err
	}
	c, err := d.Check(ctx, names)
	if err != nil {
		return Publication{}, err
	}
	return Publication{addr.String(), filled(Plan(c.Found)), c.Missing}, nil
}

// ErrChanged means that the DNS has changed since the plan was made.
var ErrChanged = errors.New("the name servers say something else than when the plan was made; look at the new plan")

// ErrBusy means that somebody else is writing records.
var ErrBusy = errors.New("records are being written for somebody else: try again when that has ended, and look at the plan then")

// publishing is held by who writes. Two who have agreed to the same plan would
// each find it unchanged, and write each record twice; two SPF records are
// worse than none (RFC 7208, section 4.5).
var publishing sync.Mutex

// Publish does what a plan says that somebody has agreed to. It is made again
// first: if it is another one now, nothing is done and the error is ErrChanged.
// One writes at a time in a process; for a second the error is ErrBusy.
func (d *Desk) Publish(ctx context.Context, names []string, through string, agreed []Change) (Publication, error) {
	p, _, err := ProviderOf(d.Graph, through)
	if err != nil {
		return Publication{}, err
	}
	if !publishing.TryLock() {
		return Publication{}, ErrBusy
	}
	defer publishing.Unlock()
	plan, err := d.Plan(ctx, names, through)
	if err != nil {
		return plan, err
	}
	if !sameWrites(plan.Changes, agreed) {
		return plan, ErrChanged
	}
	plan.Changes = Apply(ctx, p, plan.Changes)
	return plan, nil
}

// sameWrites says whether two plans write the same.
func sameWrites(a, b []Change) bool {
	a, b = Writes(a), Writes(b)
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Same(&b[i]) {
			return false
		}
	}
	return true
}

// Writes are the changes that write something.
func Writes(plan []Change) (all []Change) {
	for _, c := range plan {
		if c.Action != ActionLeave {
			all = append(all, c)
		}
	}
	return all
}
