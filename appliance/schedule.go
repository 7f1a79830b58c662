package appliance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Schedule says how long to wait after each failed attempt. It is written
// as a list of steps, "1m, 5m, 15m, 1h*6, 3h*": a step is a duration, "*6"
// repeats it six times, a bare "*" for ever; the last step repeats anyway.
type Schedule struct{ steps []step }

type step struct {
	wait  time.Duration
	times int // 0 is for ever
}

const (
	maxSteps    = 100
	minRetry    = time.Second
	maxRetry    = 30 * 24 * time.Hour
	retryJitter = 0.1 // a wait is up to so much longer, so that what failed together does not return together
)

// defaultSchedule is the default of queue.retry. RFC 5321, section 4.5.4.1
// asks for at least 30 minutes once a message has failed more than twice in
// the first hour.
func defaultSchedule() Schedule {
	s, err := ParseSchedule("1m, 5m, 15m, 1h*6, 3h*")
	if err != nil {
		panic(err)
	}
	return s
}

// ParseSchedule parses a Schedule.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	parts := strings.Split(text, ",")
	if len(parts) > maxSteps {
		return s, fmt.Errorf("%d steps, at most %d are allowed", len(parts), maxSteps)
	}
	for i, part := range parts {
		wait, times, repeats := strings.Cut(strings.TrimSpace(part), "*")
		d, err := ParseDuration(wait)
		if err != nil {
			return s, err
		}
		if d < minRetry || d > maxRetry {
			return s, fmt.Errorf("step %q: write a duration from 1s to 30d", wait)
		}
		n := 1
		switch {
		case repeats && times == "" && i < len(parts)-1:
			return s, fmt.Errorf("step %q repeats for ever: nothing can follow it", part)
		case repeats && times == "":
			n = 0
		case repeats:
			if n, err = strconv.Atoi(times); err != nil || n < 1 || n > 1000 {
				return s, fmt.Errorf(`step %q: write a number from 1 to 1000 after "*", as in "1h*6"`, part)
			}
		}
		s.steps = append(s.steps, step{d, n})
	}
	return s, nil
}

// Wait returns how long to wait after the attempt-th failed attempt (1 is the
// first), with jitter drawn from r, or without if r is nil.
func (s Schedule) Wait(attempt int, r *rand.Rand) time.Duration {
	wait := s.at(attempt)
	if r == nil {
		return wait
	}
	return wait + time.Duration(r.Float64()*retryJitter*float64(wait))
}

// Longest is the longest wait that the schedule can lead to, jitter included.
func (s Schedule) Longest() time.Duration {
	var longest time.Duration
	for _, st := range s.steps {
		longest = max(longest, st.wait)
	}
	return longest + time.Duration(retryJitter*float64(longest))
}

func (s Schedule) at(attempt int) time.Duration {
	for _, st := range s.steps {
		if st.times == 0 || attempt <= st.times {
			return st.wait
		}
		attempt -= st.times
	}
	return s.steps[len(s.steps)-1].wait
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Schedule) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSchedule(string(b))
	return err
}

// String writes the schedule as it is parsed.
func (s Schedule) String() string {
	var parts []string
	for _, st := range s.steps {
		p := FormatDuration(st.wait)
		switch st.times {
		case 0:
			p += "*"
		case 1:
		default:
			p += "*" + strconv.Itoa(st.times)
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ", ")
}

// ParseDuration is time.ParseDuration with days: "5d", "1d12h". It takes no
// negative duration.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf(`%q is not a duration; write a number and a unit, such as "90s", "15m", "4h" or "5d"`, text)
	if text == "0" {
		return 0, nil
	}
	const day = 24 * time.Hour
	rest, days := text, time.Duration(0)
	if n, after, ok := strings.Cut(text, "d"); ok {
		k, err := strconv.ParseUint(n, 10, 32)
		if err != nil || k > uint64(math.MaxInt64/day) {
			return 0, bad
		}
		rest, days = after, time.Duration(k)*day
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, bad
	}
	return days + d, nil
}

// FormatDuration writes a duration as ParseDuration reads it, without zero
// parts: "5d", "1h30m".
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	days := d / (24 * time.Hour)
	rest := d % (24 * time.Hour)
	var b strings.Builder
	if days > 0 {
		fmt.Fprintf(&b, "%dd", days)
	}
	if rest > 0 || days == 0 {
		s := rest.String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		b.WriteString(s)
	}
	return b.String()
}
