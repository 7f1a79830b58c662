package suddenchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// A rig is a started check with the defaults and a clock of its own.
type rig struct {
	*SuddenChange
	t     *testing.T
	clock time.Time
	told  []string
	fail  error // of Post
}

func start(t *testing.T, v *valuestest.Values, change ...func(*SuddenChange)) *rig {
	t.Helper()
	reg, _ := appliance.Builtin.Get(appliance.KindCheck, "sudden_change")
	r := &rig{SuddenChange: reg.New().(*SuddenChange), t: t, clock: noon}
	r.Postmaster = appliance.Mailbox{Local: "postmaster", Domain: "example.com"}
	r.now = func() time.Time { return r.clock }
	for _, f := range change {
		f(r.SuddenChange)
	}
	err := errors.Join(r.Validate(), r.Provision(&appliance.Context{
		Values: v, Hostname: "mail.example.com",
		Post: func(_ context.Context, _ appliance.Envelope, h appliance.Header, body []byte) (appliance.QueueID, error) {
			r.told = append(r.told, string(h.Bytes())+string(body))
			return "x", r.fail
		},
	}))
	if err == nil {
		err = r.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	return r
}

// send sends a message to n recipients at one domain, and says why it is held,
// or "".
func (r *rig) send(user string, n int, domain string) string {
	r.t.Helper()
	v := r.verdict(user, n, domain)
	if v.Refuse != nil {
		r.t.Fatalf("refused: %v", v.Refuse)
	}
	return v.Hold
}

func (r *rig) verdict(user string, n int, domain string) appliance.Verdict {
	r.t.Helper()
	tx := &appliance.Transaction{Session: &appliance.Session{}}
	if user != "" {
		tx.Session.Identity = &appliance.Identity{User: user}
	}
	for range n {
		tx.Envelope.Recipients = append(tx.Envelope.Recipients, appliance.Recipient{Mailbox: appliance.Mailbox{Local: "x", Domain: domain}})
	}
	v, err := r.Inspect(r.t.Context(), appliance.AtContent, tx)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// live lets a user send so many messages to one recipient each, a minute apart,
// at noon of each of so many days.
func (r *rig) live(user string, days, messages int) {
	r.t.Helper()
	for range days {
		for i := range messages {
			r.clock = r.clock.Add(time.Minute)
			if why := r.send(user, 1, fmt.Sprintf("friend%d.example", i%5)); why != "" {
				r.t.Fatalf("held on %s: %s", r.clock, why)
			}
		}
		r.clock = r.clock.Add(24 * time.Hour).Truncate(24 * time.Hour).Add(12 * time.Hour)
	}
}

// burst sends messages to one recipient each, and returns how many were not
// held, and the first reason.
func (r *rig) burst(user string, messages int, domain func(i int) string) (passed int, reason string) {
	r.t.Helper()
	for i := range messages {
		why := r.send(user, 1, domain(i))
		switch {
		case why == "" && reason != "":
			r.t.Fatalf("message %d passes after one was held", i)
		case why == "":
			passed++
		case reason == "":
			reason = why
		}
	}
	return passed, reason
}

func oldFriends(i int) string { return fmt.Sprintf("friend%d.example", i%5) }
func strangers(i int) string  { return fmt.Sprintf("stranger%d.example", i) }

// TestRule: the formula, for each of the three.
func TestRule(t *testing.T) {
	for _, c := range []struct {
		name   string
		daily  int // messages on each day
		domain func(int) string
		passed int
		reason string
	}{
		{"few a day, a burst to friends", 2, oldFriends, 100, "101 recipients in an hour, where the most has been 2"},
		{"many a day, a burst to friends", 40, oldFriends, 200, "201 recipients in an hour, where the most has been 40"},
		{"few a day, a burst to strangers", 2, strangers, 25, "26 domains never written to before in an hour, where the most has been 2"},
		{"many a day, a burst to strangers", 40, strangers, 25, "26 domains never written to before in an hour, where the most has been 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, new(valuestest.Values))
			r.live("app", 8, c.daily)
			passed, reason := r.burst("app", 500, c.domain)
			if passed != c.passed || reason != c.reason {
				t.Errorf("%d passed, then %q", passed, reason)
			}
			if why := r.send("bob", 1, "example.org"); why != "" {
				t.Errorf("another user is held: %s", why)
			}
			r.clock = r.clock.Add(66 * time.Minute)
			if why := r.send("app", 1, "friend1.example"); why != "" {
				t.Errorf("an hour later mail is still held: %s", why)
			}
			r.clock = r.clock.Add(24 * time.Hour)
			if again, _ := r.burst("app", 500, c.domain); again > 2*c.passed {
				t.Errorf("what was held has become usual: %d passed", again)
			}
		})
	}
	t.Run("bounces", func(t *testing.T) {
		r := start(t, new(valuestest.Values))
		r.live("app", 8, 2)
		for range 21 {
			r.Emit(appliance.Event{Kind: appliance.EventBounced, User: "app"})
			r.Emit(appliance.Event{Kind: appliance.EventDeferred, User: "bob"})
			r.Emit(appliance.Event{Kind: appliance.EventBounced})
		}
		if why := r.send("app", 1, "friend1.example"); why != "21 bounces in an hour, where the most has been 0" {
			t.Errorf("%q", why)
		}
	})
}

// TestNoFalseAlarm: nobody is held who is new, who always sends that much, who
// grows slowly, or who is excepted; nor who does not log in.
func TestNoFalseAlarm(t *testing.T) {
	r := start(t, new(valuestest.Values), func(s *SuddenChange) { s.Except = []string{"news"} })
	if n, why := r.burst("newcomer", 900, strangers); why != "" {
		t.Errorf("newcomer: %d, %s", n, why)
	}
	r.live("few days", 2, 2)
	r.clock = r.clock.Add(30 * 24 * time.Hour)
	if n, why := r.burst("few days", 900, strangers); why != "" {
		t.Errorf("two days of mail in a month: %d, %s", n, why)
	}
	for day, volume := range []int{20, 60, 100, 300, 900, 2500, 9000} {
		r.clock = noon.Add(time.Duration(60+4*day) * 24 * time.Hour)
		if n, why := r.burst("grows", volume, oldFriends); why != "" {
			t.Errorf("day %d: %d of %d, %s", day, n, volume, why)
		}
	}
	r.live("news", 8, 1)
	if _, why := r.burst("news", 500, strangers); why != "" {
		t.Errorf("excepted: %s", why)
	}
	if _, why := r.burst("", 500, strangers); why != "" {
		t.Errorf("stranger: %s", why)
	}
}

// TestOneMessage: one message to very many is held too.
func TestOneMessage(t *testing.T) {
	r := start(t, new(valuestest.Values))
	r.live("app", 8, 2)
	if why := r.send("app", 900, "friend1.example"); !strings.HasPrefix(why, "900 recipients in an hour") {
		t.Errorf("%q", why)
	}
}

// TestTold: the postmaster is told once a day of each user, with what to do;
// when that fails the mail is held all the same.
func TestTold(t *testing.T) {
	r := start(t, new(valuestest.Values))
	r.live("app", 8, 2)
	r.burst("app", 300, strangers)
	if len(r.told) != 1 {
		t.Fatalf("told %d times", len(r.told))
	}
	for _, want := range []string{
		"To: <postmaster@example.com>\r\n", "From: <postmaster@mail.example.com>\r\n", "Auto-Submitted: auto-generated\r\n", "\r\n\r\n",
		`user "app"`, "26 domains", "waxwing queue list --held", "waxwing queue release", "waxwing queue drop",
	} {
		if !strings.Contains(r.told[0], want) {
			t.Errorf("no %q in\n%s", want, r.told[0])
		}
	}
	if bytes.Contains([]byte(strings.ReplaceAll(r.told[0], "\r\n", "")), []byte("\n")) {
		t.Error("bare line feed")
	}
	r.clock, r.fail = r.clock.Add(25*time.Hour), errors.New("no signer")
	if _, why := r.burst("app", 300, strangers); why == "" || len(r.told) != 2 {
		t.Errorf("the next day: %q, told %d times", why, len(r.told))
	}
}

// TestFlood: what is held does not fill the queue.
func TestFlood(t *testing.T) {
	r := start(t, new(valuestest.Values))
	r.live("app", 8, 2)
	held, refused := 0, 0
	for i := range 3000 {
		switch v := r.verdict("app", 1, strangers(i)); {
		case v.Refuse != nil:
			if refused++; v.Hold != "" || v.Refuse.Code != 452 {
				t.Fatalf("%+v", v)
			}
		case v.Hold != "":
			held++
		}
	}
	if held != maxHeld || refused != 3000-25-maxHeld {
		t.Errorf("%d held, %d refused", held, refused)
	}
}

// TestRestart: what is usual outlives a restart, and a record stays small.
func TestRestart(t *testing.T) {
	v := new(valuestest.Values)
	r := start(t, v)
	r.live("app", 100, 40)
	r.live("app", 1, 10)
	for i := range 20 {
		r.send("app", 1, strangers(i))
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := v.List(t.Context(), "")
	if err != nil || len(list) != 1 || list[0].Size > 8<<10 {
		t.Errorf("%+v, %v", list, err)
	}
	clock := r.clock
	r = start(t, v)
	r.clock = clock.Add(2 * time.Hour)
	if passed, why := r.burst("app", 500, oldFriends); passed != 200 || why == "" {
		t.Errorf("%d passed after a restart, %q", passed, why)
	}
}

// TestForgotten: who has sent nothing for three months begins anew.
func TestForgotten(t *testing.T) {
	v := new(valuestest.Values)
	r := start(t, v)
	r.live("app", 8, 2)
	r.clock = r.clock.Add(91 * 24 * time.Hour)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _ := v.List(t.Context(), ""); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*SuddenChange){
		"factor: must be at least 2":          func(s *SuddenChange) { s.Factor = 1 },
		"min_recipients: must be at least 10": func(s *SuddenChange) { s.MinRecipients = 9 },
		"learn: must not be negative":         func(s *SuddenChange) { s.Learn = -1 },
	} {
		s := &SuddenChange{Factor: 5, MinRecipients: 100}
		change(s)
		if err := s.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestTrial: what is looked at and thrown away is held as the next message would
// be, and is no part of what is usual.
func TestTrial(t *testing.T) {
	r := start(t, new(valuestest.Values))
	r.live("app", 8, 2)
	tx := &appliance.Transaction{Session: &appliance.Session{Identity: &appliance.Identity{User: "app"}, Trial: true}}
	for range 500 {
		tx.Envelope.Recipients = append(tx.Envelope.Recipients, appliance.Recipient{Mailbox: appliance.Mailbox{Local: "x", Domain: "friend1.example"}})
	}
	try := func() string {
		v, err := r.Inspect(t.Context(), appliance.AtContent, tx)
		if err != nil {
			t.Fatal(err)
		}
		return v.Hold
	}
	if why := try(); why != "" {
		t.Errorf("a trial counts: %s", why)
	}
	passed, _ := r.burst("app", 200, oldFriends)
	if passed != 100 {
		t.Errorf("%d passed after a trial, want 100", passed)
	}
	if why := try(); !strings.Contains(why, "recipients in an hour") || len(r.told) != 1 {
		t.Errorf("a trial of what is held: %q, told %d times", why, len(r.told))
	}
}
