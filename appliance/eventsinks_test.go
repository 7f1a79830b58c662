package appliance

import (
	"fmt"
	"testing"
)

// reader is a relay that reads events.
type reader struct {
	part
	name string
	seen *[]string
}

func (r *reader) Emit(e Event) { *r.seen = append(*r.seen, fmt.Sprint(r.name, ":", e.Kind)) }

// loginsOf remembers the settings that a guard was given.
type loginsOf struct {
	LoginGuard
	set []LoginSettings
}

func (l *loginsOf) Configure(s LoginSettings) { l.set = append(l.set, s) }

// TestReaders: modules that are EventSinks get each event, those of the
// configuration that runs; the guard gets new settings on a reload.
func TestReaders(t *testing.T) {
	p, seen, guard := newPlant(), []string{}, new(loginsOf)
	read := func(name string) *Node {
		return &Node{Addr: Addr{KindCheck, "reader"}, Type: "fake", Fingerprint: name,
			Module: &reader{part: part{d: p.d, name: name}, name: name, seen: &seen}}
	}
	g := p.graph()
	g.Nodes = append(g.Nodes, read("old"))
	a := New(g, Options{
		NewEngine: func(EngineContext) Engine { return &fakeEngine{d: p.d} },
		NewLogins: func(c LoginContext) LoginGuard { guard.set = append(guard.set, c.Settings); return guard },
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.events.Emit(Event{Kind: EventBounced})
	next := p.graph()
	next.Settings.Logins.BanAfter = 7
	next.Nodes = append(next.Nodes, read("new"))
	if err := a.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	a.events.Emit(Event{Kind: EventDelivered})
	if got := fmt.Sprint(seen); got != "[old:bounced new:delivered]" {
		t.Errorf("read %s", got)
	}
	if len(guard.set) != 2 || guard.set[0].BanAfter != 20 || guard.set[1].BanAfter != 7 || a.Logins() != guard {
		t.Errorf("settings %+v", guard.set)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
