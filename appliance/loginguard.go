package appliance

import (
	"context"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A LoginGuard bounds how often passwords can be guessed and how long somebody
// may misbehave: package logins has the one of Waxwing. Its methods may be
// called from many goroutines at once.
type LoginGuard interface {
	// Welcome says why a client may not connect now, or nil. Users says whether
	// users log in there.
	Welcome(client netip.Addr, users bool) *Reply
	// Begin waits for the turn of a log-in, before anybody looks at the
	// password. The error is the reply to it, or that of ctx. Otherwise end must
	// be called once with what came of it; it may wait too, so that wrong
	// passwords are answered late.
	Begin(ctx context.Context, l LoginAttempt) (end func(LoginOutcome), err error)
	// Offended counts a connection that was closed because of what the client did.
	Offended(client netip.Addr)
	// Bans lists the networks that are banned and the accounts that are under
	// attack, by name.
	Bans() []Ban
	// Clear forgets what is held against a network, as a Ban has it or an
	// address in it, or against an account; "" is all of them. It returns how
	// many it was.
	Clear(name string) int
	// Configure takes new settings on a reload.
	Configure(s LoginSettings)
}

// A LoginContext is everything the appliance gives its LoginGuard.
type LoginContext struct {
	Settings LoginSettings
	Hostname string // which user names may end with
	Events   EventSink
	Log      *zap.Logger
	Metrics  prometheus.Registerer // nil counts for nobody
	Now      func() time.Time      // nil is time.Now
}

// A LoginAttempt is a user name and a password that a client sends.
type LoginAttempt struct {
	Client   netip.Addr // invalid for a unix socket
	User     string     // as the client wrote it
	Password Secret     // not set if the client showed a certificate
}

// LoginOutcome is what came of a log-in.
type LoginOutcome int

// The outcomes.
const (
	LoginGood    LoginOutcome = iota
	LoginBad                  // the credentials are wrong
	LoginUnknown              // it could not be found out
)

// A Ban is what is held against a network, or for the safety of an account.
type Ban struct {
	Kind     string    `json:"kind"` // BanNetwork or BanAccount
	Name     string    `json:"name"` // "192.0.2.1", "2001:db8::/64", or the name of a user
	Failures int       `json:"failures"`
	Until    time.Time `json:"until"` // when it is over, if nothing more happens
	Reason   string    `json:"reason"`
}

// The kinds of a Ban.
const (
	BanNetwork = "network" // may not connect
	BanAccount = "account" // clients of networks that are new to it are heard one at a time
)

// LoginSettings is the logins block.
type LoginSettings struct {
	// Failed log-ins and closed connections of one client address after which
	// it is banned; an IPv6 /64 is one address. One of them is forgiven every 6
	// minutes. The same wrong password again does not count. Addresses that
	// many can share are never banned: loopback, private networks, and those
	// that a listener trusts. 0 bans nobody. Default 20.
	BanAfter int `hcl:"ban_after,optional"`
	// How long the first ban of an address is; each further one of the same day
	// is twice as long, up to 4 hours. Default 15m.
	BanFor time.Duration `hcl:"ban_for,optional"`
	// Networks that are never banned, as "203.0.113.7" or "2001:db8::/48": a
	// proxy that all clients come through, or an office. Default: none.
	NeverBan []string `hcl:"never_ban,optional"`
	// Failed log-ins of one account, from whatever address, after which clients
	// from networks that it has not been used from before are heard one at a
	// time, 5 seconds apart. One of them is forgiven every 6 minutes. 0 is
	// never. Default 20.
	AccountFailures int `hcl:"account_failures,optional"`
}

// Check says what makes no sense in the settings, as an [AttrError].
func (s *LoginSettings) Check() error {
	switch {
	case s.BanAfter < 0:
		return &AttrError{Attr: "ban_after", Msg: "It must not be negative: write 0 to ban nobody"}
	case s.BanFor < time.Second:
		return &AttrError{Attr: "ban_for", Msg: `It must be at least "1s": write ban_after = 0 to ban nobody`}
	case s.AccountFailures < 0:
		return &AttrError{Attr: "account_failures", Msg: "It must not be negative: write 0 for no limit"}
	}
	for _, n := range s.NeverBan {
		if _, err := ParseNetwork(n); err != nil {
			return &AttrError{Attr: "never_ban", Msg: err.Error()}
		}
	}
	return nil
}
