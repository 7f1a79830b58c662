package queue

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// nullStore keeps deliveries in memory until they are settled, in the order in
// which they came, so that what is measured is the engine.
type nullStore struct {
	appliance.Store // what the engine does not call here
	values          fakeValues
	settled         func(n int)

	mu      sync.Mutex
	waiting map[string][]appliance.Leased // by destination
	listed  []appliance.DestinationDue
}

func (s *nullStore) Values() appliance.Values { return &s.values }

func (s *nullStore) Commit(_ context.Context, msgs ...appliance.Accepted) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range msgs {
		for part, d := range m.Deliveries {
			s.waiting[d.Destination] = append(s.waiting[d.Destination], appliance.Leased{
				Key: appliance.DeliveryKey{ID: m.ID, Part: part}, Delivery: d, Received: m.Received, Origin: m.Origin, Envelope: m.Envelope,
				Message: appliance.Message{ID: m.ID, Header: m.Header, Body: appliance.BytesBody(nil)},
			})
		}
	}
	return nil
}

func (s *nullStore) Destinations(context.Context) iter.Seq2[appliance.DestinationDue, error] {
	return func(yield func(appliance.DestinationDue, error) bool) {
		for _, d := range s.listed {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (s *nullStore) Lease(_ context.Context, want appliance.LeaseRequest) (got []appliance.Leased, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.waiting[want.Destination]
	for i := 0; i < len(list) && len(got) < want.Max; {
		if len(want.Keys) > 0 && !slices.Contains(want.Keys, list[i].Key) {
			i++
			continue
		}
		got = append(got, list[i])
		list = slices.Delete(list, i, i+1)
	}
	s.waiting[want.Destination] = list
	return got, nil
}

func (s *nullStore) Settle(_ context.Context, outcomes ...appliance.Outcome) error {
	s.settled(len(outcomes))
	return nil
}

// nullRelay delivers everything at once.
type nullRelay struct{}

func (nullRelay) Provision(*appliance.Context) error  { return nil }
func (nullRelay) NextHop(to appliance.Mailbox) string { return to.Domain }

func (nullRelay) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	return appliance.Results(len(env.Recipients), appliance.Result{
		Reply: appliance.Reply{Code: 250, Text: "ok"}, Remote: true, Host: "mx.example.org",
	})
}

// oneWay is a Router with one pipeline.
type oneWay struct{ p *appliance.Pipeline }

func (w oneWay) Acquire(string) (*appliance.Pipeline, func(), bool) { return w.p, func() {}, true }

// benchEngine makes an engine on a store, and stops it when the benchmark ends.
func benchEngine(b *testing.B, store *nullStore) *engine {
	p := &appliance.Pipeline{
		Relay: appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "mx"}, nullRelay{}),
	}
	e := New(appliance.EngineContext{
		Hostname: "mail.example.com", Store: store, Router: oneWay{p}, Settings: appliance.DefaultSettings().Queue, Now: time.Now,
	}).(*engine)
	p.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "out"}, appliance.House{
		Hostname: "mail.example.com", Spool: e, Now: time.Now, Limits: appliance.DefaultSettings().Limits,
	})
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return e
}

// BenchmarkQueue takes messages of one recipient from Commit to Settle, at most
// 100 of them at a time.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("destinations=%d", n), func(b *testing.B) { benchmarkQueue(b, n) })
	}
}

func benchmarkQueue(b *testing.B, destinations int) {
	underWay := make(chan struct{}, 100)
	e := benchEngine(b, &nullStore{waiting: make(map[string][]appliance.Leased), settled: func(n int) {
		for range n {
			<-underWay
		}
	}})
	to := make([]appliance.Mailbox, destinations)
	for i := range to {
		to[i] = mailbox(fmt.Sprintf("you@d%d.example", i))
	}
	from := mailbox("app@example.com")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		underWay <- struct{}{}
		if err := e.Commit(b.Context(), oneTo(from, to[i%destinations])); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(underWay) { // what is still under way
		underWay <- struct{}{}
	}
}

// oneTo is a message of one recipient.
func oneTo(from, to appliance.Mailbox) appliance.Accepted {
	now, r := time.Now(), appliance.Recipient{Mailbox: to}
	return appliance.Accepted{
		ID: appliance.NewQueueID(now), Received: now, Size: 4 << 10,
		Origin:   appliance.Origin{Pipeline: "out", Listener: "in", Session: "s1", User: "app", Client: "192.0.2.7"},
		Envelope: appliance.Envelope{From: from, Recipients: []appliance.Recipient{r}},
		Deliveries: []appliance.Delivery{{
			Destination: "mx/" + to.Domain, Due: now, Recipients: []appliance.RecipientState{{Recipient: r}},
		}},
	}
}

// BenchmarkQueueScan lists a backlog for 10,000 destinations of which none is
// due: what happens once a minute.
func BenchmarkQueueScan(b *testing.B) {
	const destinations = 10_000
	s := new(nullStore)
	due := time.Now().Add(10 * time.Minute)
	for i := range destinations {
		at := due.Add(time.Duration(i*7919%3600) * time.Second) // in no order
		s.listed = append(s.listed, appliance.DestinationDue{Destination: fmt.Sprintf("mx/d%d.example", i), Due: at})
	}
	e := benchEngine(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.look(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/destinations, "ns/destination")
}
