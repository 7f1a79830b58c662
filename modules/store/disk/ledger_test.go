package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A ledger is what the outside world knows about a store: what it was asked
// to do and what it acknowledged. After a crash the store must agree with it.
type ledger struct {
	mu       sync.Mutex
	messages map[appliance.QueueID]entry
	values   map[string]fact
	unsure   bool // what was acknowledged last may be gone
}

type entry struct {
	body  string
	acked bool            // Commit returned nil
	done  map[string]bool // recipients whose delivery Settle acknowledged
	tried map[string]bool // recipients whose delivery Settle was called with
	to    int             // recipients
}

// A fact is what a value may be: what was put last with success, or anything
// that was put without since.
type fact struct {
	acked *string
	tried []string
}

func newLedger() *ledger {
	return &ledger{messages: make(map[appliance.QueueID]entry), values: make(map[string]fact)}
}

// note changes the entry of a message.
func (l *ledger) note(id appliance.QueueID, change func(e *entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.messages[id]
	e.done, e.tried = maps.Clone(e.done), maps.Clone(e.tried)
	if e.done == nil {
		e.done, e.tried = make(map[string]bool), make(map[string]bool)
	}
	change(&e)
	l.messages[id] = e
}

// snapshot is the ledger of a moment.
func (l *ledger) snapshot() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{messages: maps.Clone(l.messages), values: maps.Clone(l.values)}
}

var testTime = time.Date(2020, 11, 23, 12, 0, 0, 0, time.UTC)

func testMailbox(local string) appliance.Mailbox {
	return appliance.Mailbox{Local: local, Domain: "example.net"}
}

// accepted makes a message with a recipient for each of to, all of them in
// one delivery, and writes its body into a draft.
func accepted(s *Store, id appliance.QueueID, body string, to ...string) (appliance.Accepted, error) {
	d, err := s.Draft(context.Background())
	if err != nil {
		return appliance.Accepted{}, err
	}
	msg := appliance.Accepted{
		ID: id, Received: testTime, Origin: appliance.Origin{Pipeline: "outgoing"}, Draft: d,
		Envelope: appliance.Envelope{From: appliance.Mailbox{Local: "ann", Domain: "example.org"}},
	}
	msg.Header.Append(appliance.NewField("Subject", string(id)))
	one := appliance.Delivery{Destination: "mx/example.net", Due: testTime}
	for _, local := range to {
		r := appliance.Recipient{Mailbox: testMailbox(local)}
		one.Recipients = append(one.Recipients, appliance.RecipientState{Recipient: r})
	}
	msg.Deliveries = []appliance.Delivery{one}
	if _, err := io.WriteString(d, body); err != nil {
		return msg, errors.Join(err, d.Abort())
	}
	return msg, nil
}

// commit commits a message and keeps the ledger.
func (l *ledger) commit(s *Store, id appliance.QueueID, body string, to ...string) error {
	msg, err := accepted(s, id, body, to...)
	if err != nil {
		return err
	}
	l.note(id, func(e *entry) {
		e.body, e.to = body, len(to)
	})
	if err := s.Commit(context.Background(), msg); err != nil {
		return errors.Join(err, msg.Draft.Abort())
	}
	l.note(id, func(e *entry) { e.acked = true })
	return nil
}

func leaseAll(s *Store, until time.Time) ([]appliance.Leased, error) {
	return s.Lease(context.Background(), appliance.LeaseRequest{
		Destination: "mx/example.net", Now: testTime, Until: until, Max: 1000,
	})
}

// deliver settles a leased delivery: the named recipients are delivered.
func (l *ledger) deliver(s *Store, leased appliance.Leased, reports []appliance.Accepted, to ...string) error {
	o := appliance.Outcome{Key: leased.Key, Delivery: leased.Delivery, Reports: reports}
	o.Delivery.Recipients = append([]appliance.RecipientState(nil), o.Delivery.Recipients...)
	mark := func(m func(e *entry) map[string]bool) {
		l.note(leased.Key.ID, func(e *entry) {
			for _, local := range to {
				m(e)[local] = true
			}
		})
	}
	for i := range o.Delivery.Recipients {
		for _, local := range to {
			if o.Delivery.Recipients[i].Mailbox.Local == local {
				o.Delivery.Recipients[i].Status = appliance.Delivered
			}
		}
	}
	mark(func(e *entry) map[string]bool { return e.tried })
	if err := s.Settle(context.Background(), o); err != nil {
		return err
	}
	mark(func(e *entry) map[string]bool { return e.done })
	return nil
}

func (l *ledger) put(s *Store, key, value string) error {
	l.mu.Lock()
	f := l.values[key]
	f.tried = append(slices.Clone(f.tried), value)
	l.values[key] = f
	l.mu.Unlock()
	if err := s.Values().Put(context.Background(), key, []byte(value)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values[key] = fact{acked: &value}
	return nil
}

// check opens what is on fsys and compares it with the ledger:
//
//	P1  what was acknowledged is there, or was delivered
//	P2  nothing is there that nobody tried to commit
//	P3  with the bytes it was committed with
//	P4  and who was recorded as delivered is not leased again
//
// It returns how many acknowledged messages it looked for.
func (l *ledger) check(t *testing.T, fsys vfs.FS, where string) (looked int) {
	t.Helper()
	s := newStore(t, fsys, "data")
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("%s: does not start: %v", where, err)
		return 0
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("%s: stop: %v", where, err)
		}
	}()
	leased, err := leaseAll(s, testTime.Add(time.Minute))
	if err != nil {
		t.Errorf("%s: lease: %v", where, err)
	}
	there := make(map[appliance.QueueID]appliance.Leased)
	for _, one := range leased {
		there[one.Key.ID] = one
	}
	for id, one := range there {
		if err := l.checkLeased(id, one); err != nil {
			t.Errorf("%s: message %s: %v", where, id, err)
		}
	}
	for id, e := range l.messages {
		if e.acked {
			looked++
		}
		if _, ok := there[id]; !ok && e.acked && len(e.tried) < e.to {
			t.Errorf("P1 %s: message %s is lost", where, id)
		}
	}
	l.checkFiles(t, s, there, where)
	l.checkValues(t, s, where)
	return looked
}

// figures publishes what a test did, for the table of docs/durability.md: how
// often it tried to break the store, and how many acknowledged messages it
// looked for afterwards. That none was missing, torn or repeated is that the
// test has passed.
func figures(t *testing.T, what string, tried, looked int) {
	t.Helper()
	t.Attr("what", what)
	t.Attr("tried", strconv.Itoa(tried))
	t.Attr("messages", strconv.Itoa(looked))
}

func (l *ledger) checkLeased(id appliance.QueueID, one appliance.Leased) error {
	e, known := l.messages[id]
	if !known {
		return errors.New("P2: a ghost")
	}
	r, err := one.Message.Body.Open()
	if err != nil {
		return fmt.Errorf("P1: %w", err)
	}
	body, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || string(body) != e.body {
		return fmt.Errorf("P3: body of %d octets, committed with %d, %w", len(body), len(e.body), err)
	}
	if got := one.Message.Header.Get("Subject"); got != string(id) {
		return fmt.Errorf("P3: header of %q", got)
	}
	for _, r := range one.Delivery.Recipients {
		if e.done[r.Mailbox.Local] && !l.unsure && r.Status != appliance.Delivered {
			return fmt.Errorf("P4: %s is recorded as delivered and %v again", r.Mailbox.Local, r.Status)
		}
		if !e.tried[r.Mailbox.Local] && r.Status != appliance.Waiting {
			return fmt.Errorf("P1: %s is %v and was never delivered", r.Mailbox.Local, r.Status)
		}
	}
	if len(e.done) == e.to && !l.unsure {
		return errors.New("P4: a finished message came back")
	}
	return nil
}

// checkFiles finds files that belong to no message.
func (l *ledger) checkFiles(t *testing.T, s *Store, there map[appliance.QueueID]appliance.Leased, where string) {
	t.Helper()
	names, err := s.fs.List(s.sub(bodiesName))
	if err != nil {
		t.Errorf("%s: %v", where, err)
	}
	for _, name := range names {
		if _, ok := there[appliance.QueueID(name)]; !ok {
			t.Errorf("%s: body %s belongs to nobody", where, name)
		}
	}
	if aside, err := s.fs.List(s.sub(quarantineName)); err != nil || len(aside) > 0 {
		t.Errorf("%s: set aside: %v, %v", where, aside, err)
	}
}

func (l *ledger) checkValues(t *testing.T, s *Store, where string) {
	t.Helper()
	for key, f := range l.values {
		got, err := s.Values().Get(t.Context(), key)
		switch {
		case errors.Is(err, fs.ErrNotExist) && f.acked == nil:
		case err != nil:
			t.Errorf("%s: value %s: %v", where, key, err)
		case (f.acked == nil || *f.acked != string(got)) && !slices.Contains(f.tried, string(got)):
			t.Errorf("%s: value %s is %q", where, key, got)
		}
	}
}
