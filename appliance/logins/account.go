package logins

import (
	"time"

	"go.uber.org/zap"
)

// An account is a user name that somebody failed to log in with. There need
// not be such a user.
type account struct {
	tally tally
	next  time.Time // when the next one from a network that is new to it is heard
}

// While an account is attacked, clients are heard so far apart, and are not
// kept waiting for longer than maxWait: some give up after 30 seconds.
const (
	pace    = 5 * time.Second
	maxWait = 10 * time.Second
)

// attacked says whether too many have guessed at an account. mu is held.
func (g *Guard) attacked(a *account, now time.Time) bool {
	return g.set.AccountFailures > 0 && a.tally.count(now) >= g.set.AccountFailures
}

// turn is how long the next one has to wait.
func (a *account) turn(now time.Time) time.Duration { return max(0, a.next.Sub(now)) }

// failed counts a wrong password. mu is held.
func (g *Guard) failed(name string, now time.Time) {
	a := g.accounts.touch(name)
	before := g.attacked(a, now)
	a.tally.add(now)
	if !before && g.attacked(a, now) {
		g.house.Log.Warn("an account is under attack: clients from networks that are new to it are heard one at a time",
			zap.String("user", name), zap.Int("failures", a.tally.n))
	}
}
