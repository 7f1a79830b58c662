package quota

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// A rig is a started quota with a clock of its own.
type rig struct {
	*Quota
	t     *testing.T
	clock time.Time
}

func start(t *testing.T, q *Quota, v *valuestest.Values) *rig {
	t.Helper()
	r := &rig{Quota: q, t: t, clock: noon}
	q.now = func() time.Time { return r.clock }
	err := errors.Join(q.Validate(), q.Provision(&appliance.Context{Values: v}))
	if err == nil {
		err = q.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Stop(context.Background()) })
	return r
}

func as(user string) *appliance.Session {
	return &appliance.Session{Identity: &appliance.Identity{User: user}}
}

// send sends a message to n recipients as a listener would, and returns the
// first refusal, or nil.
func (r *rig) send(s *appliance.Session, n int) *appliance.Reply {
	r.t.Helper()
	tx := &appliance.Transaction{Session: s}
	if reply := r.inspect(appliance.AtSender, tx); reply != nil {
		return reply
	}
	for i := range n {
		tx.Envelope.Recipients = append(tx.Envelope.Recipients, appliance.Recipient{Mailbox: appliance.Mailbox{Local: fmt.Sprint(i), Domain: "example.org"}})
		if reply := r.inspect(appliance.AtRecipient, tx); reply != nil {
			return reply
		}
	}
	return r.inspect(appliance.AtContent, tx)
}

func (r *rig) inspect(at appliance.Stage, tx *appliance.Transaction) *appliance.Reply {
	v, err := r.Inspect(context.Background(), at, tx)
	if err != nil {
		r.t.Error(err)
	}
	return v.Refuse
}

// sent sends until it is refused, and says how often it was not.
func (r *rig) sent(s *appliance.Session, recipients int) (n int, last *appliance.Reply) {
	for n < 10_000 {
		if last = r.send(s, recipients); last != nil {
			return n, last
		}
		n++
	}
	return n, nil
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name       string
		quota      Quota
		recipients int // of each message
		sent       int // messages
		says       string
		after      time.Duration // there is room again
	}{
		{"messages per hour", Quota{MessagesPerHour: 10}, 3, 10, "452 4.7.1 You may send 10 messages in an hour; try again in 1h5m", time.Hour + 5*time.Minute},
		{"messages per day", Quota{MessagesPerDay: 10, MessagesPerHour: 1000}, 3, 10, "452 4.7.1 You may send 10 messages in a day; try again in 1d1h", 25 * time.Hour},
		{"recipients per hour", Quota{RecipientsPerHour: 10}, 3, 3, "452 4.7.1 You may send to 10 recipients in an hour; try again in 1h5m", time.Hour + 5*time.Minute},
		{"recipients per day", Quota{RecipientsPerDay: 10}, 5, 2, "452 4.7.1 You may send to 10 recipients in a day; try again in 1d1h", 25 * time.Hour},
		{"the one that takes longest", Quota{MessagesPerHour: 2, MessagesPerDay: 2}, 1, 2, "452 4.7.1 You may send 2 messages in a day; try again in 1d1h", 25 * time.Hour},
		{"too many at once", Quota{RecipientsPerHour: 4}, 5, 0, "452 4.7.1 You may send to 4 recipients in an hour, and not to so many at once", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, &c.quota, new(valuestest.Values))
			n, reply := r.sent(as("app"), c.recipients)
			if n != c.sent || !strings.HasPrefix(reply.String(), c.says) {
				t.Errorf("%d messages, then %v", n, reply)
			}
			if !strings.Contains(reply.Error(), "app has sent") {
				t.Errorf("the log does not say who: %v", reply.Err)
			}
			if reply := r.send(as("bob"), 1); reply != nil {
				t.Errorf("another user is refused: %v", reply)
			}
			if c.after == 0 {
				return
			}
			r.clock = noon.Add(c.after - time.Second)
			if r.send(as("app"), c.recipients) == nil {
				t.Error("there is room sooner than promised")
			}
			r.clock = noon.Add(c.after)
			if reply := r.send(as("app"), c.recipients); reply != nil {
				t.Errorf("no room when promised: %v", reply)
			}
		})
	}
}

// TestWho: each user and each client of a trusted network counts for itself;
// strangers and the administrator do not count.
func TestWho(t *testing.T) {
	r := start(t, &Quota{MessagesPerHour: 2, Users: []User{{Name: "news", MessagesPerHour: 5}, {Name: "free"}}}, new(valuestest.Values))
	client := func(ip, trusted string) *appliance.Session {
		return &appliance.Session{Trusted: trusted, Client: netip.AddrPortFrom(netip.MustParseAddr(ip), 25)}
	}
	for _, c := range []struct {
		name    string
		session *appliance.Session
		want    int
	}{
		{"user", as("app"), 2}, {"the same", as("app"), 0}, {"own limit", as("news"), 5}, {"no limit", as("free"), 10_000},
		{"trusted", client("10.0.0.1", "10.0.0.0/8"), 2}, {"the same as IPv6", client("::ffff:10.0.0.1", "10.0.0.0/8"), 0},
		{"its neighbour", client("10.0.0.2", "10.0.0.0/8"), 2},
		{"stranger", client("203.0.113.1", ""), 10_000}, {"administrator", client("127.0.0.1", appliance.TrustedAdmin), 10_000},
	} {
		if n, _ := r.sent(c.session, 1); n != c.want {
			t.Errorf("%s: %d messages, want %d", c.name, n, c.want)
		}
	}
}

// TestTogether: many connections at once get no more than one, and what is
// given up in between costs nothing.
func TestTogether(t *testing.T) {
	r := start(t, &Quota{RecipientsPerHour: 100}, new(valuestest.Values))
	for range 1000 {
		tx := &appliance.Transaction{Session: as("app"), Envelope: appliance.Envelope{Recipients: make([]appliance.Recipient, 90)}}
		if reply := r.inspect(appliance.AtRecipient, tx); reply != nil {
			t.Fatalf("what was not sent counts: %v", reply)
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 50 {
		all.Go(func() {
			tx := &appliance.Transaction{Session: as("app"), Envelope: appliance.Envelope{Recipients: make([]appliance.Recipient, 10)}}
			if r.inspect(appliance.AtContent, tx) == nil {
				mu.Lock()
				defer mu.Unlock()
				taken++
			}
		})
	}
	all.Wait()
	if taken != 10 {
		t.Errorf("%d messages of ten recipients taken, of a hundred recipients", taken)
	}
}

// TestRestart: a restart gives nobody a second helping.
func TestRestart(t *testing.T) {
	v := new(valuestest.Values)
	r := start(t, &Quota{MessagesPerDay: 3}, v)
	r.sent(as("app"), 1)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = start(t, &Quota{MessagesPerDay: 3}, v)
	if n, _ := r.sent(as("app"), 1); n != 0 {
		t.Errorf("%d messages more after a restart", n)
	}
}

func TestValidate(t *testing.T) {
	for name, q := range map[string]*Quota{
		"messages_per_hour: is missing":                {},
		"recipients_per_day: must not be negative":     {MessagesPerHour: 1, RecipientsPerDay: -1},
		`user: "a" is declared twice`:                  {Users: []User{{Name: "a"}, {Name: "a"}}},
		`user: "a": messages_per_day: must not be neg`: {Users: []User{{Name: "a", MessagesPerDay: -1}}},
	} {
		if err := q.Validate(); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

// TestTrial: what is looked at and thrown away is not counted, and is told when
// there is no room.
func TestTrial(t *testing.T) {
	r := start(t, &Quota{MessagesPerHour: 3}, new(valuestest.Values))
	trial := as("app")
	trial.Trial = true
	for range 5 {
		if reply := r.send(trial, 1); reply != nil {
			t.Fatal(reply)
		}
	}
	if n, _ := r.sent(as("app"), 1); n != 3 {
		t.Errorf("%d messages after trials, want 3", n)
	}
	if reply := r.send(trial, 1); reply == nil || reply.Code != 452 {
		t.Errorf("a trial without room: %v", reply)
	}
}
