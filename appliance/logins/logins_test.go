package logins

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A rig is a guard with the defaults before an authenticator that knows app,
// whose password is "right".
type rig struct {
	*Guard
	registry *prometheus.Registry

	mu     sync.Mutex
	asked  int // passwords looked at
	events []appliance.Event
}

func newRig(change ...func(*appliance.LoginSettings)) *rig {
	r := &rig{registry: prometheus.NewRegistry()}
	set := appliance.DefaultSettings().Logins
	for _, f := range change {
		f(&set)
	}
	r.Guard = newGuard(appliance.LoginContext{
		Settings: set, Hostname: "mail.example.com", Metrics: r.registry,
		Events: appliance.EventFunc(func(e appliance.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		}),
	})
	return r
}

// login says what a client is answered: 235, or the code of a refusal.
func (r *rig) login(ctx context.Context, ip, user, password string) int {
	end, err := r.Begin(ctx, appliance.LoginAttempt{
		Client: netip.MustParseAddr(ip), User: user, Password: appliance.NewSecret(password),
	})
	if err != nil {
		return appliance.ReplyTo(err).Code
	}
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	if strings.TrimSuffix(user, "@mail.example.com") == "app" && password == "right" {
		end(appliance.LoginGood)
		return 235
	}
	end(appliance.LoginBad)
	return 535
}

// guess sends n passwords that are all different and wrong.
func (r *rig) guess(ctx context.Context, n int, ip, user string) (codes map[int]int) {
	codes = make(map[int]int)
	for i := range n {
		codes[r.login(ctx, ip, user, fmt.Sprint(ip, "wrong", i))]++
	}
	return codes
}

// TestA6OneNetwork: a thousand passwords from one address. Twenty are looked
// at, later and later, and then the address is banned, for longer each time.
func TestA6OneNetwork(t *testing.T) {
	t.Attr("tried", "1000")
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		began := time.Now()
		codes := r.guess(t.Context(), 1000, "203.0.113.7", "app")
		if codes[535] != 20 || codes[421] != 980 || r.asked != 20 {
			t.Errorf("answers %v, %d passwords looked at", codes, r.asked)
		}
		if took := time.Since(began); took < time.Minute || took > 5*time.Minute {
			t.Errorf("twenty wrong passwords took %s", took)
		}
		if reply := r.Welcome(netip.MustParseAddr("203.0.113.7"), true); reply == nil || reply.Code != 421 {
			t.Errorf("a banned client may connect: %v", reply)
		}
		if got := r.login(t.Context(), "203.0.113.8", "app", "right"); got != 235 {
			t.Errorf("somebody else is answered %d", got)
		}
		if len(r.events) != 1 || r.events[0].Kind != appliance.EventBanned || r.events[0].Client != "203.0.113.7" ||
			!strings.Contains(r.events[0].Reply.Err.Error(), "20 failed log-ins") {
			t.Errorf("events %+v", r.events)
		}
		var terms []time.Duration
		for range 6 {
			ban := r.Bans()[0]
			terms = append(terms, time.Until(ban.Until).Round(time.Minute))
			time.Sleep(time.Until(ban.Until))
			if reply := r.Welcome(netip.MustParseAddr("203.0.113.7"), true); reply != nil {
				t.Fatalf("still banned: %v", reply)
			}
			for i := 0; r.Welcome(netip.MustParseAddr("203.0.113.7"), true) == nil; i++ {
				r.login(t.Context(), "203.0.113.7", "app", fmt.Sprint("again", len(terms), i))
			}
		}
		if got := fmt.Sprint(terms); got != "[15m0s 30m0s 1h0m0s 2h0m0s 4h0m0s 4h0m0s]" {
			t.Errorf("bans of %s", got)
		}
	})
}

// TestA6ManyNetworks: a thousand addresses guess at one account. It is guessed
// at every five seconds at most, its user goes on from where he is known, and
// gets in from anywhere else a little later.
func TestA6ManyNetworks(t *testing.T) {
	t.Attr("tried", "2000")
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		home, elsewhere := "203.0.113.7", "203.0.113.8"
		if got := r.login(t.Context(), home, "app", "right"); got != 235 {
			t.Fatal(got)
		}
		var attack sync.WaitGroup
		for i := range 1000 {
			attack.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				r.guess(t.Context(), 2, fmt.Sprintf("198.18.%d.%d", i/250, i%250), "APP@mail.example.com")
			})
		}
		time.Sleep(50 * time.Second)
		before := time.Now()
		if got := r.login(t.Context(), home, "app", "right"); got != 235 || time.Since(before) > 0 {
			t.Errorf("the user is answered %d after %s, from where he is known", got, time.Since(before))
		}
		attack.Wait()
		if r.asked < 30 || r.asked > 60 { // 20, and one every 5 seconds for 100
			t.Errorf("%d passwords looked at", r.asked)
		}
		tries := 1
		for r.login(t.Context(), elsewhere, "app", "right") != 235 {
			tries++
			time.Sleep(time.Minute)
		}
		if tries > 2 {
			t.Errorf("the user needed %d tries from elsewhere", tries)
		}
		if bans := r.Bans(); len(bans) != 1 || bans[0].Kind != appliance.BanAccount || bans[0].Name != "app" {
			t.Errorf("%+v", bans)
		}
	})
}

// TestSlowGuessing: one guess a second from one address is stopped all the same.
func TestSlowGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for i := range 3600 {
			r.login(t.Context(), "203.0.113.7", "app", fmt.Sprint("wrong", i))
			time.Sleep(time.Second)
		}
		if r.asked > 70 {
			t.Errorf("%d passwords looked at in an hour", r.asked)
		}
	})
}

// TestMistakes: whoever mistypes once a while is never banned, nor is a device
// that has an old password and tries it for ever.
func TestMistakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for i := range 500 {
			if got := r.login(t.Context(), "203.0.113.7", "app", fmt.Sprint("typo", i)); got != 535 {
				t.Fatalf("mistake %d is answered %d", i, got)
			}
			time.Sleep(6 * time.Minute)
		}
		for i := range 500 {
			if got := r.login(t.Context(), "203.0.113.9", "app", "old"); got != 535 {
				t.Fatalf("the old password is answered %d the %dth time", got, i)
			}
		}
	})
}

// TestNeverBanned: addresses that many share are answered late, not banned, and
// whoever knows the password gets in at once.
func TestNeverBanned(t *testing.T) {
	for _, ip := range []string{
		"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "172.17.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1",
		"fd00::1", "fe80::1%eth0", "203.0.113.99", "2001:db8:0:1::5",
	} {
		t.Run(ip, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(func(s *appliance.LoginSettings) { s.NeverBan = []string{"203.0.113.99", "2001:db8::/48"} })
				began := time.Now()
				if codes := r.guess(t.Context(), 100, ip, "app"); codes[535] != 100 {
					t.Errorf("answers %v", codes)
				}
				if took := time.Since(began); took < 10*time.Minute {
					t.Errorf("a hundred guesses took %s", took)
				}
				for range 100 {
					r.Offended(netip.MustParseAddr(ip))
				}
				if reply := r.Welcome(netip.MustParseAddr(ip), true); reply != nil {
					t.Errorf("banned: %v", reply)
				}
				before := time.Now()
				if got := r.login(t.Context(), ip, "app", "right"); got != 235 || time.Since(before) > 0 {
					t.Errorf("the right password is answered %d after %s", got, time.Since(before))
				}
			})
		})
	}
}

// TestColleagues: a ban of an office does not concern its users, and does
// concern who guesses at them from there.
func TestColleagues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		office := netip.MustParseAddr("203.0.113.7")
		if got := r.login(t.Context(), office.String(), "app", "right"); got != 235 {
			t.Fatal(got)
		}
		r.guess(t.Context(), 30, office.String(), "other")
		if got := r.login(t.Context(), office.String(), "other", "x"); got != 421 {
			t.Errorf("the one who guessed is answered %d", got)
		}
		if r.Welcome(office, true) != nil || r.Welcome(office, false) == nil {
			t.Error("where users log in they may connect, elsewhere nobody")
		}
		if got := r.login(t.Context(), office.String(), "app", "right"); got != 235 {
			t.Errorf("the colleague is answered %d", got)
		}
		if codes := r.guess(t.Context(), 50, office.String(), "app"); codes[535] != 10 || codes[421] != 40 {
			t.Errorf("guesses at the colleague from there are answered %v", codes)
		}
		if got := r.login(t.Context(), office.String(), "app", "right"); got != 421 {
			t.Errorf("a network that is familiar no more is answered %d", got)
		}
	})
}

// TestTogether: guesses that come all at once are not all looked at before the
// first is counted.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		attempt := func(i int) (func(appliance.LoginOutcome), error) {
			return r.Begin(t.Context(), appliance.LoginAttempt{
				Client: netip.MustParseAddr("203.0.113.7"), User: "app", Password: appliance.NewSecret(fmt.Sprint(i)),
			})
		}
		var ends []func(appliance.LoginOutcome)
		for i := range 1000 {
			if end, err := attempt(i); err == nil {
				ends = append(ends, end)
			}
		}
		if len(ends) != maxTogether {
			t.Errorf("%d of 1000 at a time", len(ends))
		}
		for _, end := range ends {
			end(appliance.LoginUnknown)
		}
		if _, err := attempt(0); err != nil || len(r.Bans()) != 0 {
			t.Errorf("what could not be found out counts: %v, %v", err, r.Bans())
		}
	})
}

// TestOffended: errors without end are held against a network like guesses.
func TestOffended(t *testing.T) {
	r := newRig()
	ip := netip.MustParseAddr("2001:db8::1")
	for range 20 {
		if r.Welcome(ip, false) != nil {
			t.Fatal("banned too soon")
		}
		r.Offended(ip)
	}
	if r.Welcome(netip.MustParseAddr("2001:db8::ffff:2"), false) == nil || r.Welcome(netip.MustParseAddr("2001:db8:0:1::1"), false) != nil {
		t.Error("an IPv6 /64 is one client, and no more than that is")
	}
	r.Offended(netip.Addr{}) // of a unix socket
	if r.Welcome(netip.Addr{}, true) != nil {
		t.Error("a unix socket is banned")
	}
	want := "# HELP waxwing_banned_networks Networks that are banned now.\n# TYPE waxwing_banned_networks gauge\nwaxwing_banned_networks 1\n"
	if err := testutil.GatherAndCompare(r.registry, strings.NewReader(want), "waxwing_banned_networks"); err != nil {
		t.Error(err)
	}
}

// TestClear: a person forgives a network, an account, or all.
func TestClear(t *testing.T) {
	for _, c := range []struct {
		name    string
		n, left int
	}{
		{"203.0.113.7", 1, 2}, {"2001:db8::5", 1, 2}, {"2001:db8::/64", 1, 2}, {"app", 1, 2}, {"APP@mail.example.com", 1, 2},
		{"", 3, 0}, {"0.0.0.0/0", 1, 2}, {"nobody", 0, 3}, {"198.51.100.1", 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.guess(t.Context(), 20, "203.0.113.7", "app")
				for range 20 {
					r.Offended(netip.MustParseAddr("2001:db8::1"))
				}
				if n := r.Clear(c.name); n != c.n || len(r.Bans()) != c.left {
					t.Errorf("%d cleared, left %+v", n, r.Bans())
				}
				if c.name == "203.0.113.7" && r.login(t.Context(), c.name, "other", "x") != 535 {
					t.Error("still banned")
				}
			})
		})
	}
}

// TestSwitchedOff: 0 is never, and takes back what there was.
func TestSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.guess(t.Context(), 30, "203.0.113.7", "app")
		r.Configure(appliance.LoginSettings{BanFor: time.Minute})
		if len(r.Bans()) != 0 {
			t.Errorf("%+v", r.Bans())
		}
		if codes := r.guess(t.Context(), 100, "203.0.113.7", "app"); codes[421]+codes[454] != 0 {
			t.Errorf("answers %v", codes)
		}
	})
}

// TestGone: a client that does not wait for its turn is no guess, and nobody
// waits on its behalf.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(s *appliance.LoginSettings) { s.AccountFailures = 1 })
		r.login(t.Context(), "203.0.113.1", "app", "x")
		r.login(t.Context(), "203.0.113.2", "app", "x") // has the turn of now
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := r.Begin(ctx, appliance.LoginAttempt{Client: netip.MustParseAddr("203.0.113.3"), User: "app"})
		if !errors.Is(err, context.Canceled) || r.networks.peek(netip.MustParsePrefix("203.0.113.3/32")).together != 0 {
			t.Errorf("%v", err)
		}
	})
}

// TestBounded: whatever comes, memory does not grow beyond the limits, and what
// is attacked now is not forgotten for what is not.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.guess(t.Context(), 20, "203.0.113.7", "app")
		ip := netip.MustParseAddr("11.0.0.0")
		for i := range maxNetworks + 1000 {
			ip = ip.Next()
			r.login(t.Context(), ip.String(), fmt.Sprint("user", i), "x")
			if i%1000 == 0 {
				r.login(t.Context(), ip.String(), "app", fmt.Sprint("x", i))
			}
		}
		if n, a := len(r.networks.index), len(r.accounts.index); n != maxNetworks || a != maxAccounts {
			t.Errorf("%d networks, %d accounts", n, a)
		}
		if bans := r.Bans(); len(bans) != 1 || bans[0].Name != "app" {
			t.Errorf("%+v", bans)
		}
	})
}

func TestLRU(t *testing.T) {
	l := newLRU[string, int](2)
	*l.touch("a"), *l.touch("b") = 1, 2
	l.touch("a")
	l.touch("c")
	if l.peek("b") != nil || *l.peek("a") != 1 || l.order.Len() != 2 || len(l.index) != 2 {
		t.Error("not the one that was used last makes room")
	}
	var keys []string
	for k := range l.all() {
		keys = append(keys, k)
		l.drop(k)
	}
	if fmt.Sprint(keys) != "[c a]" || l.order.Len() != 0 {
		t.Errorf("%v", keys)
	}
}
