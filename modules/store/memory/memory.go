// Package memory keeps the queue in memory and forgets it when it stops. It
// keeps the contract of a store but for durability, and is for tests and for
// trying Waxwing out: nothing that was answered 250 survives the process.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/namedlock"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindStore,
		Name:    "memory",
		Summary: "keeps everything in memory and forgets it on stop: for tests and demonstrations",
		Example: `store "memory" "trial" {
  max_size = "256MiB"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Store is a store in memory.
type Store struct {
	// What all messages together may take. Beyond it mail is answered 452
	// until some of it has been delivered. Default 256MiB.
	MaxSize appliance.Size `hcl:"max_size,optional"`

	mu       sync.Mutex
	open     bool
	used     int64 // octets of headers and bodies, drafts included
	messages map[appliance.QueueID]*message
	values   values
}

// A message is an accepted message. Its deliveries are nil when finished.
type message struct {
	appliance.Accepted
	body       appliance.BytesBody
	deliveries []*delivery
}

func (m *message) size() int64 { return int64(m.Header.Len()) + m.body.Size() }

type delivery struct {
	appliance.Delivery
	attempts []appliance.Attempt
	until    time.Time // of its lease; in the past if there is none
}

func (d *delivery) leased(now time.Time) bool { return now.Before(d.until) }

var (
	_ appliance.Store     = (*Store)(nil)
	_ appliance.Validator = (*Store)(nil)
)

// New returns a Store with the defaults.
func New() *Store {
	s := &Store{MaxSize: 256 << 20}
	s.values = values{s: s, locks: new(namedlock.Set)}
	return s
}

// Validate implements appliance.Validator.
func (s *Store) Validate() error {
	if s.MaxSize < 1<<20 {
		return &appliance.AttrError{Attr: "max_size", Msg: `must be at least "1MiB"`}
	}
	return nil
}

// Provision implements appliance.Module.
func (s *Store) Provision(ctx *appliance.Context) error {
	if ctx.Log != nil {
		ctx.Log.Warn("mail is kept in memory and lost when the server stops; use a disk store for real mail")
	}
	return nil
}

// Start implements appliance.Starter.
func (s *Store) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.messages = true, make(map[appliance.QueueID]*message)
	s.values.m = make(map[string]value)
	return nil
}

// Stop implements appliance.Starter.
func (s *Store) Stop(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.messages, s.values.m = false, nil, nil
	return nil
}

// enter locks the store for one call.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if !s.open {
		s.mu.Unlock()
		return errors.New("the store is closed")
	}
	return nil
}

// Commit implements appliance.Store.
func (s *Store) Commit(ctx context.Context, msgs ...appliance.Accepted) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.check(msgs); err != nil {
		return err
	}
	s.add(msgs)
	return nil
}

// check says whether all of the messages can be added.
func (s *Store) check(msgs []appliance.Accepted) error {
	for i := range msgs {
		m := &msgs[i]
		if err := s.checkOne(m); err != nil {
			return fmt.Errorf("message %s: %w", m.ID, err)
		}
		if slices.ContainsFunc(msgs[:i], func(o appliance.Accepted) bool { return o.ID == m.ID || o.Draft == m.Draft }) {
			return fmt.Errorf("message %s: twice in one step", m.ID)
		}
	}
	return nil
}

func (s *Store) checkOne(m *appliance.Accepted) error {
	if !m.ID.IsValid() {
		return errors.New("not a queue id")
	}
	if s.messages[m.ID] != nil {
		return errors.New("the queue id is taken")
	}
	if len(m.Deliveries) == 0 {
		return errors.New("no deliveries")
	}
	for i := range m.Deliveries {
		if m.Deliveries[i].Done() {
			return fmt.Errorf("nobody waits for delivery %d", i)
		}
	}
	if d, ok := m.Draft.(*draft); !ok || d.s != s || d.over {
		return errors.New("not an open draft of this store")
	}
	return nil
}

func (s *Store) add(msgs []appliance.Accepted) {
	for _, a := range msgs {
		d := a.Draft.(*draft)
		d.over = true
		m := &message{Accepted: a, body: d.body}
		m.Header, m.Envelope.Recipients = a.Header.Clone(), nil
		m.Draft, m.Deliveries = nil, nil
		for _, one := range a.Deliveries {
			m.deliveries = append(m.deliveries, &delivery{Delivery: clone(one)})
		}
		s.messages[a.ID] = m
		s.used += int64(m.Header.Len()) // the body was counted as it came
	}
}

// clone keeps what the caller holds apart from what the store holds. A store
// on disk would give back the text of a reply, but not its cause.
func clone(d appliance.Delivery) appliance.Delivery {
	d.Recipients = slices.Clone(d.Recipients)
	for i := range d.Recipients {
		d.Recipients[i].Last.Reply.Err = nil
	}
	return d
}

// find returns a delivery that is not finished, or nil.
func (s *Store) find(k appliance.DeliveryKey) *delivery {
	m := s.messages[k.ID]
	if m == nil || k.Part < 0 || k.Part >= len(m.deliveries) {
		return nil
	}
	return m.deliveries[k.Part]
}

// put stores what a delivery has become and removes what is finished. What it
// remembers grows by an attempt, if there was one.
func (s *Store) put(k appliance.DeliveryKey, next appliance.Delivery, a *appliance.Attempt) {
	m := s.messages[k.ID]
	if !next.Done() {
		d := &delivery{Delivery: clone(next), attempts: m.deliveries[k.Part].attempts}
		if a != nil {
			d.attempts = appliance.Remember(d.attempts, *a)
		}
		m.deliveries[k.Part] = d
		return
	}
	m.deliveries[k.Part] = nil
	if !slices.ContainsFunc(m.deliveries, func(d *delivery) bool { return d != nil }) {
		delete(s.messages, k.ID)
		s.used -= m.size()
	}
}

// sorted lists the messages, oldest first.
func (s *Store) sorted() []*message {
	all := make([]*message, 0, len(s.messages))
	for _, m := range s.messages {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *message) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Destinations implements appliance.Store.
func (s *Store) Destinations(ctx context.Context) iter.Seq2[appliance.DestinationDue, error] {
	return func(yield func(appliance.DestinationDue, error) bool) {
		all, err := s.destinations(ctx)
		if err != nil {
			yield(appliance.DestinationDue{}, err)
		}
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (s *Store) destinations(ctx context.Context) (all []appliance.DestinationDue, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	at := make(map[string]int) // index in all
	for _, m := range s.sorted() {
		for _, d := range m.deliveries {
			if d == nil || d.Held || d.leased(now) {
				continue
			}
			i, seen := at[d.Destination]
			if !seen {
				at[d.Destination] = len(all)
				all = append(all, appliance.DestinationDue{Destination: d.Destination, Due: d.Due})
			} else if d.Due.Before(all[i].Due) {
				all[i].Due = d.Due
			}
		}
	}
	return all, nil
}

// Lease implements appliance.Store.
func (s *Store) Lease(ctx context.Context, want appliance.LeaseRequest) ([]appliance.Leased, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var due []appliance.Leased
	for _, m := range s.sorted() {
		for part, d := range m.deliveries {
			if d == nil || d.Held || d.Destination != want.Destination || d.Due.After(want.Now) || d.leased(want.Now) {
				continue
			}
			due = append(due, appliance.Leased{
				Key: appliance.DeliveryKey{ID: m.ID, Part: part}, Delivery: clone(d.Delivery),
				Received: m.Received, Origin: m.Origin, Envelope: m.Envelope,
				Message: appliance.Message{ID: m.ID, Header: m.Header.Clone(), Body: m.body},
			})
		}
	}
	slices.SortStableFunc(due, func(a, b appliance.Leased) int { return a.Delivery.Due.Compare(b.Delivery.Due) })
	if len(want.Keys) > 0 {
		due = only(due, want.Keys)
	}
	due = due[:min(len(due), want.Max)]
	for i := range due {
		s.find(due[i].Key).until = want.Until
	}
	return due, nil
}

// only keeps what is named, in that order.
func only(due []appliance.Leased, keys []appliance.DeliveryKey) []appliance.Leased {
	var named []appliance.Leased
	for _, k := range keys {
		if i := slices.IndexFunc(due, func(l appliance.Leased) bool { return l.Key == k }); i >= 0 {
			named = append(named, due[i])
			due = slices.Delete(due, i, i+1)
		}
	}
	return named
}

// Settle implements appliance.Store.
func (s *Store) Settle(ctx context.Context, outcomes ...appliance.Outcome) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	live, reports, err := s.reconcile(outcomes)
	if err != nil {
		return err
	}
	if err := s.check(reports); err != nil {
		return err
	}
	for _, o := range live {
		s.put(o.Key, o.Delivery, o.Attempt)
	}
	s.add(reports)
	for _, o := range outcomes {
		for _, r := range o.Reports {
			if d, ok := r.Draft.(*draft); ok && d.s == s {
				d.release() // unless it was added: the outcome was ignored
			}
		}
	}
	return nil
}

// reconcile leaves out what is not there any more, and changes nothing.
func (s *Store) reconcile(outcomes []appliance.Outcome) (live []appliance.Outcome, reports []appliance.Accepted, err error) {
	for _, o := range outcomes {
		d := s.find(o.Key)
		if d == nil {
			continue
		}
		if !o.Reconcile(&d.Delivery) {
			return nil, nil, fmt.Errorf("message %s: outcome of delivery %d is not for its recipients", o.Key.ID, o.Key.Part)
		}
		if slices.ContainsFunc(live, func(l appliance.Outcome) bool { return l.Key == o.Key }) {
			return nil, nil, fmt.Errorf("message %s: delivery %d twice in one step", o.Key.ID, o.Key.Part)
		}
		live = append(live, o)
		reports = append(reports, o.Reports...)
	}
	return live, reports, nil
}

// Query implements appliance.Store.
func (s *Store) Query(ctx context.Context, f appliance.Filter) iter.Seq2[appliance.Entry, error] {
	return func(yield func(appliance.Entry, error) bool) {
		all, err := s.query(ctx, f)
		if err != nil {
			yield(appliance.Entry{}, err)
		}
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *Store) query(ctx context.Context, f appliance.Filter) (all []appliance.Entry, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	for _, m := range s.sorted() {
		e := m.entry(&f)
		if len(e.Deliveries) == 0 {
			continue
		}
		if all = append(all, e); len(all) == f.Limit {
			break
		}
	}
	return all, nil
}

func (m *message) entry(f *appliance.Filter) appliance.Entry {
	e := appliance.Entry{
		ID: m.ID, Received: m.Received, Origin: m.Origin, Envelope: m.Envelope, Size: m.size(),
	}
	now := time.Now()
	for part, d := range m.deliveries {
		if d == nil || !f.Match(&e, &d.Delivery) {
			continue
		}
		one := appliance.EntryDelivery{
			Key: appliance.DeliveryKey{ID: m.ID, Part: part}, Leased: d.leased(now), Delivery: clone(d.Delivery),
		}
		if f.Attempts {
			one.Attempts = slices.Clone(d.attempts)
		}
		e.Deliveries = append(e.Deliveries, one)
	}
	return e
}

// Change implements appliance.Store.
func (s *Store) Change(ctx context.Context, f appliance.Filter, c appliance.Change) (int, error) {
	all, err := s.query(ctx, f)
	if err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	n, now := 0, time.Now()
	for i := range all {
		for _, e := range all[i].Deliveries {
			d := s.find(e.Key)
			if d == nil || d.leased(now) || !f.Match(&all[i], &d.Delivery) || !c.Concerns(&d.Delivery) {
				continue
			}
			next := clone(d.Delivery)
			c.Apply(&next, now)
			s.put(e.Key, next, nil)
			n++
		}
	}
	return n, nil
}

// Values implements appliance.Store.
func (s *Store) Values() appliance.Values { return &s.values }
