package mx

import (
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Warmup is a warmup block: it holds a relay back whose addresses have not sent
// mail before, and which receivers do not know yet. It keeps no state: what each
// site gets follows from the date alone.
type Warmup struct {
	// When the first day begins: "2026-11-23" is midnight UTC, and
	// "2026-11-23T09:00:00+01:00" any other moment. Before that it is the first
	// day already.
	Begin string `hcl:"begin"`
	// How many messages each site (a provider, or the servers of one or more
	// domains) gets in the first 24 hours, evenly over the day: 50.
	First int `hcl:"first"`
	// How long until it is twice as many, and then again. At least "1h", at most
	// "30d". Default "1d".
	DoubleEvery time.Duration `hcl:"double_every,optional"`
	// After how many days it is over. At most 365. Default 30.
	Days int `hcl:"days,optional"`
}

const (
	day = 24 * time.Hour
	// Defaults of Warmup.
	defaultDoubleEvery = day
	defaultDays        = 30
	// Limits of Warmup.
	maxFirst       = 1_000_000
	maxWarmupDays  = 365
	minDoubleEvery = time.Hour
	maxDoubleEvery = 30 * day
	firstYear      = 2020 // of begin: others are typing errors
	lastYear       = 2100
	// maxWarmup is how many messages a day are no limit any more.
	maxWarmup = 10_000_000
)

func (w *Warmup) validate() error {
	if w == nil {
		return nil
	}
	blame := func(attr, format string, args ...any) error {
		return &appliance.AttrError{Attr: "warmup." + attr, Msg: fmt.Sprintf(format, args...)}
	}
	p, err := w.plan()
	switch {
	case err != nil:
		return blame("begin", "%v", err)
	case p.begin.Year() < firstYear || p.begin.Year() > lastYear:
		return blame("begin", "%q is not near enough; write a day of this year", w.Begin)
	case w.First < 1 || w.First > maxFirst:
		return blame("first", "must be between 1 and %d messages", maxFirst)
	case p.every < minDoubleEvery || p.every > maxDoubleEvery:
		return blame("double_every", `must be between "1h" and "30d"`)
	case w.Days < 0 || w.Days > maxWarmupDays:
		return blame("days", "must be between 1 and %d", maxWarmupDays)
	}
	return nil
}

// A warmupPlan is a Warmup with its defaults, in the form of numbers.
type warmupPlan struct {
	begin, end time.Time
	first      int
	every      time.Duration
}

// plan reads the block; nil is nil.
func (w *Warmup) plan() (*warmupPlan, error) {
	if w == nil {
		return nil, nil
	}
	begin, err := time.Parse(time.DateOnly, w.Begin)
	if err != nil {
		begin, err = time.Parse(time.RFC3339, w.Begin)
	}
	if err != nil {
		return nil, fmt.Errorf(`%q is not a date; write it as "2026-11-23", or as "2026-11-23T09:00:00+01:00"`, w.Begin)
	}
	p := &warmupPlan{begin: begin, first: w.First, every: w.DoubleEvery}
	if p.every == 0 {
		p.every = defaultDoubleEvery
	}
	days := w.Days
	if days == 0 {
		days = defaultDays
	}
	p.end = begin.Add(time.Duration(days) * day)
	return p, nil
}

// perDay is how many messages each site gets in 24 hours; 0 is no limit.
func (p *warmupPlan) perDay(now time.Time) int {
	if p == nil || !now.Before(p.end) {
		return 0
	}
	n := p.first
	for at := p.begin.Add(p.every); !now.Before(at) && n < maxWarmup; at = at.Add(p.every) {
		n *= 2
	}
	if n >= maxWarmup {
		return 0
	}
	return n
}

// rate is that of a day, evenly: a message in so much time, and none sooner.
// The rate of a whole day would let a tenth of it go at once.
func (p *warmupPlan) rate(now time.Time) appliance.Rate {
	n := p.perDay(now)
	if n == 0 {
		return appliance.Rate{}
	}
	return appliance.Rate{Count: 1, Per: roundUp(day, n)}
}

// roundUp divides d by n: in whole seconds, as people read it, where they
// make no difference to speak of.
func roundUp(d time.Duration, n int) time.Duration {
	part := (d + time.Duration(n) - 1) / time.Duration(n)
	unit := time.Millisecond
	if part >= time.Minute {
		unit = time.Second
	}
	up := part.Truncate(unit)
	if up < part {
		up += unit
	}
	return up
}

// slower is a rate that keeps both what a provider takes and an even one of
// the warm-up.
func slower(provider, even appliance.Rate) appliance.Rate {
	switch {
	case even.IsZero():
		return provider
	case provider.IsZero():
		return even
	}
	step := roundUp(provider.Per, provider.Count)
	switch {
	case step <= even.Per:
		return even
	case provider.Per > day: // a tenth of it may be more than this day has
		return appliance.Rate{Count: 1, Per: step}
	}
	return provider
}

// explain says what today's limit is; it is empty when there is none.
func (p *warmupPlan) explain(now time.Time) []appliance.Answer {
	if p == nil {
		return nil
	}
	a := appliance.Answer{Topic: "warm-up", Attr: "warmup", Text: "over"}
	if n := p.perDay(now); n > 0 {
		a.Text = fmt.Sprintf("at most %d messages a day to each site for now, one every %s; twice as many every %s until %s",
			n, appliance.FormatDuration(p.rate(now).Per), appliance.FormatDuration(p.every), p.end.UTC().Format("2006-01-02 15:04 MST"))
	}
	return []appliance.Answer{a}
}
