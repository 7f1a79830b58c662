package smtpserver

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

func perMinute(n int) appliance.Rate { return appliance.Rate{Count: n, Per: time.Minute} }

// TestRater: as many as the rate has at once, and as many in a period after
// that; each client by itself; shared addresses as often as they like.
func TestRater(t *testing.T) {
	r := rater{rate: perMinute(3)}
	now := time.Unix(0, 0)
	client := netip.MustParsePrefix("192.0.2.1/32")
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, {19 * time.Second, false}, {time.Second, true}, {0, false},
		{time.Hour, true}, {0, true}, {0, true}, {0, false},
	} {
		now = now.Add(step.after)
		if got := r.allow(client, now); got != step.want {
			t.Errorf("at %s: %v", now.UTC().Format(time.TimeOnly), got)
		}
	}
	if !r.allow(netip.MustParsePrefix("192.0.2.2/32"), now) {
		t.Error("another client pays for this one")
	}
	for _, text := range []string{"127.0.0.0/8", "::/64", "10.1.2.3/32", "172.17.0.1/32", "fe80::/64", "fd00::/64", "100.64.0.1/32"} {
		for range 10 {
			if !r.allow(netip.MustParsePrefix(text), now) {
				t.Fatalf("%s is limited, which many may share", text)
			}
		}
	}
	if none := (&rater{}); !none.allow(client, now) || none.paid != nil {
		t.Error("no limit is one")
	}
}

// TestRater_Bounded_P17: what is remembered of clients is bounded, and is
// forgotten when it does not matter any more.
func TestRater_Bounded_P17(t *testing.T) {
	r := rater{rate: perMinute(1)}
	now := time.Unix(0, 0)
	client := func(i int) netip.Prefix {
		var b [16]byte
		b[0] = 0x20
		binary.BigEndian.PutUint32(b[4:], uint32(i))
		p, _ := appliance.ClientNetwork(netip.AddrFrom16(b))
		return p
	}
	for i := range maxRated + 10 {
		if !r.allow(client(i), now) {
			t.Fatalf("client %d was refused the first time", i)
		}
	}
	if len(r.paid) != maxRated || r.allow(client(0), now) {
		t.Errorf("%d clients are remembered", len(r.paid))
	}
	if r.allow(client(maxRated), now.Add(time.Minute)); len(r.paid) != 1 {
		t.Errorf("%d clients are remembered when all have paid", len(r.paid))
	}
}

// TestR1_ConnectionRate: who connects too often is told so, and is served again
// when time has passed; who is trusted is always served.
func TestR1_ConnectionRate(t *testing.T) {
	const served, refused = "S: 220 <<.*\nC: QUIT\nS: 221 <<.*\n", "S: 421 4.7.0 <<Too many connections in a short time from your address; .*\nclose\n"
	often := func(o *options) { o.limits.ConnectionRatePerIP = perMinute(2) }
	inBubble(t, func(t *testing.T, r *rig, d *appliancetest.Dialogue, _ *pipes) {
		for i, script := range []string{served, served, refused, refused} {
			if err := d.Run(script); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		time.Sleep(30 * time.Second)
		if err := d.Run(served); err != nil {
			t.Errorf("after half a minute: %v", err)
		}
		if n := testutil.ToFloat64(r.srv.metrics.refused.WithLabelValues("rate")); n != 2 {
			t.Errorf("%v connections counted as refused", n)
		}
	}, often)
	inBubble(t, func(t *testing.T, _ *rig, d *appliancetest.Dialogue, _ *pipes) {
		for range 5 {
			if err := d.Run(served); err != nil {
				t.Errorf("trusted: %v", err)
			}
		}
	}, often, func(o *options) { o.set.Trusted = []string{"192.0.2.0/24"} })
}

// TestMessageRate: messages of strangers, but not of users.
func TestMessageRate(t *testing.T) {
	const message = "C: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nC: RSET\nS: 250 <<.*\n"
	inBubble(t, func(t *testing.T, r *rig, d *appliancetest.Dialogue, _ *pipes) {
		err := d.Run(hello + strings.Repeat(message, 2) + "C: MAIL FROM:<a@sender.example>\nS: 450 4.7.1 <<Too many messages .*\nC: QUIT\nS: 221 <<.*")
		if n := testutil.ToFloat64(r.srv.metrics.tooMuch); err != nil || n != 1 {
			t.Errorf("%v, %v counted", err, n)
		}
		user := &appliance.Session{Client: netip.MustParseAddrPort("192.0.2.1:25"), Identity: &appliance.Identity{User: "app"}}
		if !r.srv.mayBegin(user) {
			t.Error("a user pays for the strangers of its address")
		}
	}, func(o *options) { o.limits.MessageRatePerIP = perMinute(2) })
}

// TestUserConnections: as many of a user as there may be, from wherever; the
// next is closed, and there is room again when one has left.
func TestUserConnections(t *testing.T) {
	r := start(t, implicit, func(o *options) {
		o.limits.MaxConnectionsPerUser = 1
		o.house = append(o.house, func(h *appliancetest.House, _ *appliance.House) { h.Users["other"] = "secret" })
	})
	const login = hello + "C: AUTH PLAIN AGFwcABzZWNyZXQ=\n"
	d := r.dialogue()
	d.Directive = func(string, string) error {
		r.talk(t, login+"S: 421 4.7.0 Too many connections of this user; close some first\nclose")
		r.talk(t, hello+"C: AUTH PLAIN AG90aGVyAHNlY3JldA==\nS: 235 <<.*")
		return nil
	}
	if err := d.Run(login + "S: 235 <<.*\nmeanwhile\nC: MAIL FROM:<a@local.test>\nS: 250 <<.*"); err != nil {
		t.Error(err)
	}
	waitFor(t, func() bool { return len(r.users()) == 0 })
	r.talk(t, login+"S: 235 <<.*")
	if n := testutil.ToFloat64(r.srv.metrics.refused.WithLabelValues("user")); n != 1 {
		t.Errorf("%v connections counted as refused", n)
	}
}

// users are the users with connections.
func (r *rig) users() (all []string) {
	r.srv.crowd.mu.Lock()
	defer r.srv.crowd.mu.Unlock()
	for user := range r.srv.crowd.perUser {
		all = append(all, user)
	}
	return all
}
