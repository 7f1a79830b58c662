package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A hub is a smarthost, over which the mail of all domains goes. It is down,
// and then up.
type hub struct {
	*sited
	answers answer
}

// herdSize is how many messages wait; under the race detector each costs much.
func herdSize() int {
	if testing.Short() {
		return 2_000
	}
	return 20_000
}

// newHub makes a house in which messages to many domains wait for one smarthost
// that is down.
func newHub(t *testing.T, limits appliance.SiteLimits) *hub {
	const each = 100
	messages := herdSize()
	b := &hub{sited: newSited(t, func(in *appliance.EngineContext) { in.Rand = nil })}
	b.limits["hub"], b.takes = limits, 100*time.Millisecond
	b.down()
	backlog := make([]appliance.Accepted, 0, messages)
	for _, d := range domains(messages/each, "hub") {
		b.serve(d, func(ctx context.Context, env appliance.Envelope) []appliance.Result { return b.current()(ctx, env) })
		for range each {
			backlog = append(backlog, b.message("", "bob@"+d))
		}
	}
	b.start()
	if err := b.engine.Commit(t.Context(), backlog...); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *hub) down() { b.set(silence(30 * time.Second)) }
func (b *hub) up()   { b.set(ok250) }

func (b *hub) set(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = a
}

func (b *hub) current() answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers
}

// TestHerdOf20000_N18: a smarthost that was away for three hours is asked now
// and then by one connection; when it is back, 20,000 messages reach it spread
// in time, never above its connections and its rate, each once, and as fast
// as these allow.
func TestHerdOf20000_N18(t *testing.T) {
	for name, limits := range map[string]appliance.SiteLimits{
		"connections":          {Connections: 10},
		"connections and rate": {Connections: 10, Rate: appliance.Rate{Count: 600, Per: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { herd(t, limits) })
		})
	}
}

func herd(t *testing.T, limits appliance.SiteLimits) {
	b := newHub(t, limits)
	after(3 * time.Hour)
	// The first attempts of all: nobody knew yet. Then a probe at a time.
	probes := len(b.begun("hub"))
	if probes > 3*60/5+2*firstLimit || b.busiest("hub") > firstLimit {
		t.Errorf("%d attempts during the outage, %d at a time", probes, b.busiest("hub"))
	}
	b.up()
	back := time.Now()
	after(3 * time.Hour)
	starts := slices.Clone(b.begun("hub"))[probes:]
	if n := len(b.told(appliance.EventDelivered)); n != herdSize() || len(starts) < n || len(starts) > n+1 {
		t.Errorf("%d delivered by %d deliveries", n, len(starts))
	}
	if n := b.busiest("hub"); n > limits.Connections || n < limits.Connections && limits.Rate.Count == 0 && !testing.Short() {
		t.Errorf("%d connections at a time, limit %d", n, limits.Connections)
	}
	// So many deliveries of a tenth of a second fit into the connections.
	checkRate(t, starts, 10*limits.Connections, time.Second-b.takes)
	hour := appliance.DefaultSettings().Queue.Retry.Wait(4, nil) // how long they wait by now
	longest := hour + hour/10
	if limits.Rate.Count > 0 {
		checkRate(t, starts, limits.Rate.Count, limits.Rate.Per)
		longest += time.Duration(herdSize()/limits.Rate.Count) * limits.Rate.Per
	}
	// Nobody waits longer than the schedule, the limits and a last probe say.
	if took := starts[len(starts)-1].Sub(back); took > longest+maxPause+time.Minute {
		t.Errorf("it took %v until the last", took)
	}
	checkRamp(t, starts)
}

// checkRamp: what comes back is met by a few, and by more with each answer.
func checkRamp(t *testing.T, starts []time.Time) {
	t.Helper()
	answered := starts[0].Add(100 * time.Millisecond)
	n := slices.IndexFunc(starts, func(at time.Time) bool { return !at.Before(answered) })
	if n > 2*firstLimit {
		t.Errorf("%d deliveries began before the first was answered", n)
	}
}

// TestThousandDeadDomains_N19: a thousand domains that appear at once, and of
// which no server answers, cost one connection each, and their turns: live mail
// that comes meanwhile waits for one round of them at most, and afterwards not
// at all.
func TestThousandDeadDomains_N19(t *testing.T) {
	const patience = 30 * time.Second
	dead := 1000
	if testing.Short() { // the race detector makes each of them dear
		dead = 200
	}
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.takes = 0
		var backlog []appliance.Accepted
		for i := range dead {
			d := fmt.Sprintf("d.dead%d.test", i)
			s.relay.answer(d, silence(patience))
			for range 10 {
				backlog = append(backlog, s.message("", "bob@"+d))
			}
		}
		s.start()
		if err := s.engine.Commit(t.Context(), backlog...); err != nil {
			t.Fatal(err)
		}
		// Those that were found dead are tried again meanwhile.
		slots := appliance.DefaultSettings().Queue.Concurrency * (allButFresh - eighths[oldDoubt]) / 8 * greed / (greed + 1)
		round := time.Duration((dead+slots-1)/slots) * patience
		if worst := s.worst(t, "during", 200, time.Second); worst > round+patience {
			t.Errorf("while the dead are found, a live message waited %v; a round takes %v", worst, round)
		}
		after(40 * time.Minute)
		if worst := s.worst(t, "after", 100, time.Second); worst > time.Second {
			t.Errorf("after that, a live message waited %v", worst)
		}
		for i := range dead {
			if n := len(s.relay.asked(fmt.Sprintf("d.dead%d.test", i))); n > 12 {
				t.Fatalf("%d connections to one dead domain", n)
			}
		}
	})
}

// worst sends n messages, each to a site of its own that answers, and returns
// how long one of them waited at most.
func (s *sited) worst(t *testing.T, site string, n int, every time.Duration) (worst time.Duration) {
	t.Helper()
	sent := make([]time.Time, n)
	for i := range n {
		to := fmt.Sprintf("live.%s%d.test", site, i)
		s.serve(to, ok250)
		sent[i] = time.Now()
		s.send("", "ann@"+to)
		after(every)
	}
	after(10 * time.Minute)
	for i := range n {
		got := s.begun(fmt.Sprintf("%s%d", site, i))
		if len(got) != 1 {
			t.Fatalf("live message %d was delivered %d times", i, len(got))
		}
		worst = max(worst, got[0].Sub(sent[i]))
	}
	return worst
}
