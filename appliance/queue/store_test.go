package queue

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"iter"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// fakeStore is a Store in memory that keeps what the engine relies on and can
// be told to fail. It also holds the engine to its side: an outcome settles a
// lease, and a recipient that is final is never leased as waiting.
type fakeStore struct {
	now func() time.Time

	mu      sync.Mutex
	waiting map[string][]*record // by destination, sorted by due time
	all     map[appliance.DeliveryKey]*record
	out     map[appliance.DeliveryKey]*record // leased
	order   []appliance.DeliveryKey
	reports []appliance.Accepted
	wrong   []string // what the engine did wrong

	listsHeld                    bool // names destinations whose mail is held
	leaseErr, settleErr, scanErr error
	settleTime                   time.Duration
	answerTime                   time.Duration // of Settle, after it is done
	leases, settles, scans       int
	changes                      []appliance.Change
	values                       fakeValues
}

type record struct {
	key    appliance.DeliveryKey
	msg    appliance.Accepted
	d      appliance.Delivery
	leased time.Time // until
	ranOut bool      // the last lease has; its holder may settle all the same
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		now: time.Now, waiting: make(map[string][]*record), all: make(map[appliance.DeliveryKey]*record),
		out: make(map[appliance.DeliveryKey]*record),
	}
}

var _ appliance.Store = (*fakeStore)(nil)

func (s *fakeStore) Provision(*appliance.Context) error { return nil }
func (s *fakeStore) Start(context.Context) error        { return nil }
func (s *fakeStore) Stop(context.Context) error         { return nil }
func (s *fakeStore) Values() appliance.Values           { return &s.values }

type fakeDraft struct{ bytes.Buffer }

func (d *fakeDraft) Body() (appliance.Body, error) { return appliance.BytesBody(d.Bytes()), nil }
func (d *fakeDraft) Abort() error                  { return nil }

func (s *fakeStore) Draft(context.Context) (appliance.Draft, error) { return new(fakeDraft), nil }

func (s *fakeStore) Commit(_ context.Context, msgs ...appliance.Accepted) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(msgs)
	return nil
}

func (s *fakeStore) add(msgs []appliance.Accepted) {
	for _, m := range msgs {
		for part, d := range m.Deliveries {
			d.Recipients = slices.Clone(d.Recipients)
			r := &record{key: appliance.DeliveryKey{ID: m.ID, Part: part}, msg: m, d: d}
			s.all[r.key] = r
			s.order = append(s.order, r.key)
			s.wait(r)
		}
	}
}

func (s *fakeStore) wait(r *record) {
	list := s.waiting[r.d.Destination]
	i, _ := slices.BinarySearchFunc(list, r, func(a, b *record) int {
		return cmp.Or(a.d.Due.Compare(b.d.Due), cmp.Compare(a.key.ID, b.key.ID))
	})
	s.waiting[r.d.Destination] = slices.Insert(list, i, r)
}

func (s *fakeStore) unwait(r *record) {
	list := slices.DeleteFunc(s.waiting[r.d.Destination], func(x *record) bool { return x == r })
	if s.waiting[r.d.Destination] = list; len(list) == 0 {
		delete(s.waiting, r.d.Destination)
	}
}

func (s *fakeStore) Destinations(context.Context) iter.Seq2[appliance.DestinationDue, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scans++
	err := s.scanErr
	var all []appliance.DestinationDue
	s.expireLeases()
	for name, list := range s.waiting {
		if i := slices.IndexFunc(list, func(r *record) bool { return s.listsHeld || !r.d.Held }); i >= 0 {
			all = append(all, appliance.DestinationDue{Destination: name, Due: list[i].d.Due})
		}
	}
	return func(yield func(appliance.DestinationDue, error) bool) {
		if err != nil {
			yield(appliance.DestinationDue{}, err)
			return
		}
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// expireLeases takes back what was leased for too long.
func (s *fakeStore) expireLeases() {
	now := s.now()
	for k, r := range s.out {
		if now.After(r.leased) {
			r.leased, r.ranOut = time.Time{}, true
			delete(s.out, k)
			s.wait(r)
		}
	}
}

func (s *fakeStore) Lease(_ context.Context, want appliance.LeaseRequest) ([]appliance.Leased, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases++
	if s.leaseErr != nil {
		return nil, s.leaseErr
	}
	var got []appliance.Leased
	if len(want.Keys) > 0 {
		return s.leaseKeys(want), nil
	}
	list := s.waiting[want.Destination]
	for len(list) > 0 && len(got) < want.Max && !list[0].d.Due.After(want.Now) {
		r := list[0]
		if r.d.Held {
			break // tests hold whole destinations
		}
		list = list[1:]
		r.leased, s.out[r.key] = want.Until, r
		got = append(got, s.lease(r))
	}
	s.waiting[want.Destination] = list
	if len(list) == 0 {
		delete(s.waiting, want.Destination)
	}
	return got, nil
}

func (s *fakeStore) leaseKeys(want appliance.LeaseRequest) (got []appliance.Leased) {
	for _, k := range want.Keys {
		r := s.all[k]
		if r == nil || !r.leased.IsZero() || r.d.Held || r.d.Due.After(want.Now) || r.d.Destination != want.Destination {
			continue
		}
		s.unwait(r)
		r.leased, s.out[r.key] = want.Until, r
		got = append(got, s.lease(r))
	}
	return got
}

func (s *fakeStore) lease(r *record) appliance.Leased {
	l := appliance.Leased{
		Key: r.key, Delivery: r.d, Received: r.msg.Received, Origin: r.msg.Origin, Envelope: r.msg.Envelope,
	}
	l.Delivery.Recipients = slices.Clone(r.d.Recipients)
	l.Envelope.Recipients = nil
	l.Message = appliance.Message{ID: r.msg.ID, Header: r.msg.Header, Body: r.msg.Draft.(*fakeDraft).body()}
	return l
}

func (d *fakeDraft) body() appliance.Body { return appliance.BytesBody(d.Bytes()) }

func (s *fakeStore) Settle(_ context.Context, outcomes ...appliance.Outcome) error {
	time.Sleep(s.settleTime)
	defer time.Sleep(s.answerTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settles++
	if s.settleErr != nil {
		return s.settleErr
	}
	for _, o := range outcomes {
		r := s.all[o.Key]
		if r == nil {
			s.wrong = append(s.wrong, "settled what is not there: "+string(o.Key.ID))
			continue
		}
		if r.leased.IsZero() && !r.ranOut && !reflect.DeepEqual(r.d, o.Delivery) { // to say it twice does no harm
			s.wrong = append(s.wrong, "settled what was not leased: "+string(o.Key.ID))
		}
		if r.leased.IsZero() {
			s.unwait(r)
		}
		r.leased, r.ranOut = time.Time{}, false
		delete(s.out, o.Key)
		r.d = o.Delivery
		if r.d.Done() {
			delete(s.all, o.Key)
		} else {
			s.wait(r)
		}
		s.reports = append(s.reports, o.Reports...)
		s.add(o.Reports)
	}
	return nil
}

func (s *fakeStore) Query(_ context.Context, f appliance.Filter) iter.Seq2[appliance.Entry, error] {
	return func(yield func(appliance.Entry, error) bool) {
		for _, e := range s.entries(f) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *fakeStore) entries(f appliance.Filter) []appliance.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []appliance.Entry
	for _, k := range s.order {
		r := s.all[k]
		if r == nil {
			continue
		}
		e := appliance.Entry{ID: k.ID, Received: r.msg.Received, Origin: r.msg.Origin, Envelope: r.msg.Envelope}
		if f.Match(&e, &r.d) {
			e.Deliveries = []appliance.EntryDelivery{{Key: k, Leased: !r.leased.IsZero(), Delivery: r.d}}
			all = append(all, e)
		}
	}
	return all
}

func (s *fakeStore) Change(_ context.Context, f appliance.Filter, c appliance.Change) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
	for _, k := range s.order {
		r := s.all[k]
		if r == nil || !r.leased.IsZero() || !f.Match(&appliance.Entry{ID: k.ID, Envelope: r.msg.Envelope}, &r.d) {
			continue
		}
		n++
		s.unwait(r)
		if c.Apply(&r.d, s.now()); r.d.Done() {
			delete(s.all, k)
		} else {
			s.wait(r)
		}
	}
	return n, nil
}

// left is what is still in the store.
func (s *fakeStore) left() []appliance.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []appliance.Delivery
	for _, k := range s.order {
		if r := s.all[k]; r != nil {
			all = append(all, r.d)
		}
	}
	return all
}

// count reads one of the counters.
func (s *fakeStore) count(n *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *n
}

func (s *fakeStore) set(f func(s *fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// fakeValues are values of which the engine puts and gets.
type fakeValues struct {
	appliance.Values
	mu  sync.Mutex
	m   map[string][]byte
	err error
}

func (v *fakeValues) Get(_ context.Context, key string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.m[key]; ok {
		return b, v.err
	}
	return nil, cmp.Or(v.err, fs.ErrNotExist)
}

func (v *fakeValues) Put(_ context.Context, key string, b []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.m = map[string][]byte{key: b}
	}
	return v.err
}
