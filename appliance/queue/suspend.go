package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// suspensionsKey is where suspensions survive a restart.
	suspensionsKey = "queue/suspensions.json"
	// maxSuspensions bounds them: a person makes them.
	maxSuspensions = 1000
)

// suspensions are by name, in lower case. The zero value has none. It is guarded by
// engine.mu; a map in it is never changed but replaced.
type suspensions struct {
	byName map[string]appliance.Suspension
	end    time.Time // of the first that ends, zero if none does
}

func newSuspensions(byName map[string]appliance.Suspension) suspensions {
	s := suspensions{byName: byName}
	for _, x := range byName {
		if !x.Until.IsZero() && (s.end.IsZero() || x.Until.Before(s.end)) {
			s.end = x.Until
		}
	}
	return s
}

// first is when the first of them ends, zero if none does.
func (s *suspensions) first() time.Time { return s.end }

// has says whether d has to wait.
func (s *suspensions) has(d *destination) bool {
	return s.hasName(d.name) || d.site != nil && s.hasName(d.site.name)
}

func (s *suspensions) hasName(name string) bool {
	if len(s.byName) == 0 {
		return false
	}
	name = strings.ToLower(name)
	if _, ok := s.byName[name]; ok {
		return true
	}
	_, ok := s.byName[hop(name)]
	return ok
}

// without returns those that have not ended.
func (s *suspensions) without(now time.Time) map[string]appliance.Suspension {
	left := maps.Clone(s.byName)
	maps.DeleteFunc(left, func(_ string, x appliance.Suspension) bool { return !x.Until.IsZero() && !x.Until.After(now) })
	return left
}

func (s *suspensions) list() []appliance.Suspension {
	return slices.SortedFunc(maps.Values(s.byName), func(a, b appliance.Suspension) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// Suspensions implements [appliance.SiteKeeper].
func (e *engine) Suspensions() []appliance.Suspension {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := newSuspensions(e.suspended.without(e.now()))
	return s.list()
}

// Suspend implements [appliance.SiteKeeper].
func (e *engine) Suspend(ctx context.Context, s appliance.Suspension) error {
	s.Name = strings.ToLower(strings.TrimSpace(s.Name))
	s.Since = e.now()
	if err := s.Check(s.Since); err != nil {
		return err
	}
	err := e.changeSuspensions(ctx, func(all map[string]appliance.Suspension) error {
		if len(all) >= maxSuspensions {
			return appliance.Replyf(452, 3, 1, "there are %d suspensions already, and no more are possible", len(all))
		}
		all[s.Name] = s
		return nil
	})
	if err != nil {
		return err
	}
	e.house.Log.Info("mail is suspended", zap.String("name", s.Name), zap.Time("until", s.Until), zap.String("reason", s.Reason))
	e.putBack(e.suspended.has)
	return nil
}

// Resume implements [appliance.SiteKeeper].
func (e *engine) Resume(ctx context.Context, name string) (found bool, err error) {
	name = strings.ToLower(strings.TrimSpace(name))
	err = e.changeSuspensions(ctx, func(all map[string]appliance.Suspension) error {
		name = called(all, name)
		_, found = all[name]
		delete(all, name)
		return nil
	})
	if err == nil && found {
		e.house.Log.Info("mail is resumed", zap.String("name", name))
	}
	return found, err
}

// called is the name of the suspension that a person means: without its relay
// it will do where there is only one.
func called(all map[string]appliance.Suspension, name string) string {
	if _, ok := all[name]; ok {
		return name
	}
	var full []string
	for x := range all {
		if hop(x) == name {
			full = append(full, x)
		}
	}
	if len(full) == 1 {
		return full[0]
	}
	return name
}

// changeSuspensions makes a change durable, and then has it take effect.
func (e *engine) changeSuspensions(ctx context.Context, change func(map[string]appliance.Suspension) error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.mu.Lock()
	all := e.suspended.without(e.now())
	e.mu.Unlock()
	if all == nil {
		all = make(map[string]appliance.Suspension)
	}
	if err := change(all); err != nil {
		return err
	}
	next := newSuspensions(all)
	text, err := json.MarshalIndent(next.list(), "", "  ")
	if err != nil {
		return err
	}
	if err := e.house.Store.Values().Put(ctx, suspensionsKey, text); err != nil {
		return fmt.Errorf("the suspension cannot be stored: %w", err)
	}
	e.mu.Lock()
	e.suspend(next, e.now())
	e.mu.Unlock()
	e.nudge()
	return nil
}

// suspend has suspensions take effect. mu is held.
func (e *engine) suspend(next suspensions, now time.Time) {
	e.suspended = next
	for _, d := range e.dests { // each is placed by its own state alone
		e.place(d, now)
	}
}

// endSuspensions ends those whose time is over. mu is held.
func (e *engine) endSuspensions(now time.Time) {
	if end := e.suspended.first(); !end.IsZero() && !end.After(now) {
		e.suspend(newSuspensions(e.suspended.without(now)), now)
	}
}

// loadSuspensions reads what has been suspended before a restart. What cannot
// be read stops the start: mail that a person wants to wait does not leave.
func (e *engine) loadSuspensions(ctx context.Context) error {
	text, err := e.house.Store.Values().Get(ctx, suspensionsKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []appliance.Suspension
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return fmt.Errorf("value %s, which says what mail a person has suspended: %w; mend or remove it", suspensionsKey, err)
	}
	all := make(map[string]appliance.Suspension, len(list))
	for _, s := range list {
		all[s.Name] = s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := newSuspensions(all)
	e.suspended = newSuspensions(s.without(e.now()))
	return nil
}
