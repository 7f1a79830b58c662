package doctor

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a check-up.
const (
	wholeTime       = 2 * time.Minute
	examinationTime = 20 * time.Second
	lateTime        = time.Second // for an examination to return when its time is over
	atOnce          = 8           // examinations
)

// A Group is examinations that belong together.
type Group struct {
	Name         string // "domain example.com"
	Domain       string // "example.com", if it is about one
	Examinations []appliance.Examination
}

// A Report is the outcome of a check-up.
type Report struct {
	Status   appliance.Standing  `json:"status"` // the worst there is
	Time     time.Time           `json:"time"`
	Hostname string              `json:"hostname"`
	Running  bool                `json:"running"`         // the running server has looked
	Notes    []string            `json:"notes,omitempty"` // what was left out, and why
	Groups   []appliance.Finding `json:"groups"`
}

// Run makes all examinations and returns one finding for each group, in their
// order; a group in which there was nothing to look at is left out. It takes at most two minutes, and each examination at most 20 seconds:
// what takes longer is skipped and says so.
func Run(ctx context.Context, groups []Group) []appliance.Finding {
	ctx, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	found := make([][][]appliance.Finding, len(groups))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, g := range groups {
		found[i] = make([][]appliance.Finding, len(g.Examinations))
		for j, x := range g.Examinations {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				found[i][j] = examine(ctx, x)
			})
		}
	}
	all.Wait()
	out := []appliance.Finding{}
	for i, g := range groups {
		f := appliance.Finding{Name: g.Name, Status: appliance.FoundSkipped, Domain: g.Domain, Parts: slices.Concat(found[i]...)}
		f.Status = f.Worst()
		if len(f.Parts) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// examine makes one examination. One that does not keep to its context, as
// that of a module may, is left behind.
func examine(ctx context.Context, x appliance.Examination) []appliance.Finding {
	ctx, cancel := context.WithTimeout(ctx, examinationTime)
	defer cancel()
	if ctx.Err() != nil {
		return []appliance.Finding{skipped(x.Name, "there was no time left for it")}
	}
	done := make(chan []appliance.Finding, 1)
	go func() { done <- withoutPanic(ctx, x) }()
	select {
	case f := <-done:
		return f
	case <-ctx.Done():
	}
	late := time.NewTimer(lateTime)
	defer late.Stop()
	select {
	case f := <-done:
		return f
	case <-late.C:
		return []appliance.Finding{skipped(x.Name, "it did not come to an end in time")}
	}
}

// withoutPanic runs the code of others.
func withoutPanic(ctx context.Context, x appliance.Examination) (all []appliance.Finding) {
	defer func() {
		if p := recover(); p != nil {
			all = []appliance.Finding{{
				Name: x.Name, Status: appliance.FoundWarn, Text: fmt.Sprintf("the examination has failed: %v", p),
				Fix: "report this to who wrote the module", Details: strings.Split(strings.TrimSpace(string(debug.Stack())), "\n"),
			}}
		}
	}()
	return x.Run(ctx)
}

// Select keeps the groups and examinations that words name: a domain keeps
// what is about it, any other word the examinations, or the whole groups, that
// have it in their name. Without words all are kept. The error is that a word
// names nothing.
func Select(groups []Group, words []string) ([]Group, error) {
	for _, word := range words {
		var kept []Group
		for _, g := range groups {
			if g = g.named(strings.ToLower(word)); len(g.Examinations) > 0 {
				kept = append(kept, g)
			}
		}
		if len(kept) == 0 {
			return nil, fmt.Errorf("%q names nothing to look at; there is %s", word, strings.Join(names(groups), ", "))
		}
		groups = kept
	}
	return groups, nil
}

// named is the part of a group that a word, in small letters, names.
func (g Group) named(word string) Group {
	if g.Domain != "" && strings.EqualFold(g.Domain, strings.TrimSuffix(word, ".")) {
		return g
	}
	if g.Domain == "" && strings.Contains(strings.ToLower(g.Name), word) {
		return g
	}
	g.Examinations = slices.DeleteFunc(slices.Clone(g.Examinations), func(x appliance.Examination) bool {
		return !strings.Contains(strings.ToLower(x.Name), word)
	})
	return g
}

// names are what the groups and their examinations are called, each once.
func names(groups []Group) (all []string) {
	for _, g := range groups {
		name := g.Name
		if g.Domain != "" {
			name = g.Domain
		}
		for _, n := range append([]string{name}, namesIn(g)...) {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

func namesIn(g Group) (all []string) {
	for _, x := range g.Examinations {
		all = append(all, x.Name)
	}
	return all
}
