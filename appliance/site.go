package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A SitedRelay is a Relay that knows which of its next hops are served by the
// same servers, so that they share limits and are left alone together. The
// queue asks for the site of a destination before its first attempt, and again
// every few minutes while it has mail.
type SitedRelay interface {
	Relay
	// Site finds the servers behind a next hop, as NextHop names it. It may ask
	// the DNS and ends with ctx. After an error the next hop is a site of its
	// own for a while.
	Site(ctx context.Context, nextHop string) (Site, error)
}

// A Site is the servers behind one or more next hops of a relay.
type Site struct {
	Name   string // the same for all of its next hops, "" for one; it is for people too
	Limits SiteLimits
	Relay  SiteLimits // of the relay over all of its sites, which every site tells; 0 connections is no limit
}

// SiteLimits are what one site, or all of a relay, get at most. What exceeds
// them waits, which is no attempt.
type SiteLimits struct {
	Connections int  // deliveries at a time; 0 is QueueSettings.DestinationConcurrency
	Rate        Rate // messages; the zero Rate is no limit
}

// A Rate is so many messages in so much time, written "100/1m", "100/m" or
// "50/day". In no stretch of that time there are more.
type Rate struct {
	Count int
	Per   time.Duration
}

// Limits of a Rate.
const (
	maxRateCount = 1_000_000
	maxRatePer   = 30 * 24 * time.Hour
)

var rateWords = map[string]time.Duration{
	"s": time.Second, "second": time.Second, "m": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour,
}

// ParseRate parses a Rate. "" is the zero Rate.
func ParseRate(text string) (Rate, error) {
	if text == "" {
		return Rate{}, nil
	}
	bad := fmt.Errorf(`%q is not a rate; write a number of messages and a time, such as "100/1m", "20/s" or "50/day"`, text)
	count, per, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if !ok || err != nil || n < 1 || n > maxRateCount {
		return Rate{}, bad
	}
	per = strings.TrimSpace(per)
	d, word := rateWords[per]
	if !word {
		if d, err = ParseDuration(per); err != nil {
			return Rate{}, bad
		}
	}
	if d < time.Millisecond || d > maxRatePer {
		return Rate{}, bad
	}
	return Rate{n, d}, nil
}

// IsZero says whether r is no limit.
func (r Rate) IsZero() bool { return r == Rate{} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRate(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String writes the rate as ParseRate reads it.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	return strconv.Itoa(r.Count) + "/" + FormatDuration(r.Per)
}

// A RelayFinder is a Router that knows relays by name.
type RelayFinder interface {
	// AcquireRelay returns the relay with the name, as the configuration is
	// now; release must be called when it is not used any more. ok is false if
	// mail goes to none of this name.
	AcquireRelay(name string) (r Relay, release func(), ok bool)
}

// AcquireRelay implements [RelayFinder].
func (a *Appliance) AcquireRelay(name string) (r Relay, release func(), ok bool) {
	for {
		p, relay := a.roadTo(name)
		if p == nil {
			return nil, nil, false
		}
		if p.use.enter() {
			return relay, p.use.leave, true
		}
		// Replaced between the look and enter; the new one is there already.
	}
}

// roadTo finds a pipeline that uses a relay, and the relay.
func (a *Appliance) roadTo(name string) (*Pipeline, Relay) {
	for _, p := range *a.roads.Load() { // each that uses it has the same one
		if p.Relay.Addr().Name == name {
			return p, p.Relay.To()
		}
		i := slices.IndexFunc(p.Routes, func(r Route) bool { return r.Relay.IsSet() && r.Relay.Addr().Name == name })
		if i >= 0 {
			return p, p.Routes[i].Relay.To()
		}
	}
	return nil, nil
}

// A SiteKeeper is an Engine that limits sites and can be told to leave some
// mail waiting.
type SiteKeeper interface {
	// Sites is what it knows of each site that has mail, sorted by name.
	Sites() []SiteState
	// Suspend leaves destinations alone until a time, or until Resume if it is
	// zero. It survives a restart. What is being attempted goes on.
	Suspend(ctx context.Context, s Suspension) error
	// Resume ends a suspension; it is false if there was none of that name.
	Resume(ctx context.Context, name string) (bool, error)
	// Suspensions lists them, sorted by name.
	Suspensions() []Suspension
}

// A Suspension leaves mail waiting because a person wants it.
type Suspension struct {
	// Name is a destination or a site, "relay/next-hop", or the part of one
	// after the slash: "example.org" is that domain by whatever relay.
	Name   string    `json:"name"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is resumed
	Reason string    `json:"reason,omitempty"`
}

// Limits of a Suspension, in octets: a person writes it.
const (
	maxSuspensionName   = 1000
	maxSuspensionReason = 200
)

// Check finds what cannot be meant.
func (s *Suspension) Check(now time.Time) error {
	switch {
	case strings.TrimSpace(s.Name) == "" || len(s.Name) > maxSuspensionName:
		return errors.New("name a destination or a site, such as example.org or internet/example.org")
	case !s.Until.IsZero() && !s.Until.After(now):
		return errors.New("the suspension would be over already")
	case strings.ContainsFunc(s.Name, IsControl) || !utf8.ValidString(s.Name):
		return errors.New("the name has a control character, or is not UTF-8")
	case strings.ContainsFunc(s.Reason, IsControl) || !utf8.ValidString(s.Reason):
		return errors.New("the reason has a control character, or is not UTF-8: write it on one line")
	case len(s.Reason) > maxSuspensionReason:
		return fmt.Errorf("the reason has %d octets; at most %d are allowed", len(s.Reason), maxSuspensionReason)
	}
	return nil
}

// A SiteState is what the queue knows of a site.
type SiteState struct {
	Name         string    `json:"name"`         // "relay/site"
	Destinations int       `json:"destinations"` // that have mail waiting or in flight
	InFlight     int       `json:"in_flight"`    // deliveries being attempted
	Limit        int       `json:"limit"`        // deliveries at a time, as it answers now
	Connections  int       `json:"connections"`  // the most that limit can become
	Rate         string    `json:"rate,omitempty"`
	Pause        string    `json:"pause,omitempty"`     // between two deliveries, because it has had enough
	Waits        bool      `json:"waits,omitempty"`     // mail is due, and waits for a limit of the site
	Down         time.Time `json:"down,omitzero"`       // left alone until then: it could not be reached
	Because      string    `json:"because,omitempty"`   // the last thing heard, if it is down or has had enough
	Suspended    bool      `json:"suspended,omitempty"` // all of it, or some of its destinations
}
