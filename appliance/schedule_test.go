package appliance

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	for _, c := range []struct {
		text  string
		waits []time.Duration // after attempt 1, 2, …
	}{
		{"1m", []time.Duration{time.Minute, time.Minute, time.Minute}},
		{"1m*", []time.Duration{time.Minute, time.Minute}},
		{"1s, 2s*2, 30d", []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, 720 * time.Hour, 720 * time.Hour}},
		{" 5m ,1h30m*", []time.Duration{5 * time.Minute, 90 * time.Minute, 90 * time.Minute}},
		{
			"1m, 5m, 15m, 1h*6, 3h*",
			[]time.Duration{
				time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour, time.Hour, time.Hour,
				time.Hour, time.Hour, 3 * time.Hour, 3 * time.Hour,
			},
		},
	} {
		s, err := ParseSchedule(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		var got []time.Duration
		for i := range c.waits {
			got = append(got, s.Wait(i+1, nil))
		}
		if !slices.Equal(got, c.waits) {
			t.Errorf("%q waits %v, want %v", c.text, got, c.waits)
		}
		if s.Wait(1_000_000, nil) != c.waits[len(c.waits)-1] {
			t.Errorf("%q: the last step does not repeat for ever", c.text)
		}
	}
}

// TestScheduleMistakes: each error says what to write.
func TestScheduleMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `"90s"`},
		{"1m,", `"90s"`},
		{"often", `"90s"`},
		{"-1m", `"90s"`},
		{"0s", "from 1s to 30d"},
		{"999ms", "from 1s to 30d"},
		{"31d", "from 1s to 30d"},
		{"1h*, 3h", "nothing can follow it"},
		{"1h*0", "from 1 to 1000"},
		{"1h*-1", "from 1 to 1000"},
		{"1h*1001", "from 1 to 1000"},
		{"1h*many", `as in "1h*6"`},
		{"1h**", `as in "1h*6"`},
		{strings.Repeat("1m,", 100) + "1m", "at most 100"},
	} {
		if _, err := ParseSchedule(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want it to say %s", c.text, err, c.want)
		}
	}
}

// TestScheduleJitter: a wait is up to a tenth longer, never shorter.
func TestScheduleJitter(t *testing.T) {
	s := defaultSchedule()
	r := rand.New(rand.NewPCG(1, 2))
	seen := make(map[time.Duration]bool)
	for range 1000 {
		wait := s.Wait(1, r)
		if wait < time.Minute || wait > 66*time.Second {
			t.Fatalf("wait %v", wait)
		}
		seen[wait] = true
	}
	if len(seen) < 900 {
		t.Errorf("%d different waits of 1000", len(seen))
	}
}

func TestScheduleLongest(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1m, 5m, 15m, 1h*6, 3h*": 3*time.Hour + 18*time.Minute,
		"10h, 1h*":               11 * time.Hour,
	} {
		s, err := ParseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Longest(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for n := range 200 {
			if wait := s.Wait(n+1, r); wait > want {
				t.Errorf("%q: wait %v after attempt %d", text, wait, n+1)
			}
		}
	}
}

// TestDefaultScheduleFollowsRFC5321 holds section 4.5.4.1: after two attempts
// in the first hour at least 30 minutes, and at least four to five days.
func TestDefaultScheduleFollowsRFC5321(t *testing.T) {
	s, q := defaultSchedule(), DefaultSettings().Queue
	at := time.Duration(0)
	for n := 1; at < q.Lifetime; n++ {
		wait := s.Wait(n, nil)
		if at > time.Hour && wait < 30*time.Minute {
			t.Errorf("%v after the message came in, attempts are %v apart", at, wait)
		}
		at += wait
	}
	if q.Lifetime < 4*24*time.Hour {
		t.Errorf("lifetime %v", q.Lifetime)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0":           0,
		"90s":         90 * time.Second,
		"15m":         15 * time.Minute,
		"4h":          4 * time.Hour,
		"5d":          120 * time.Hour,
		"1d12h":       36 * time.Hour,
		"1h30m":       90 * time.Minute,
		"1.5h":        90 * time.Minute,
		"250ms":       250 * time.Millisecond,
		"65535d":      65535 * 24 * time.Hour,
		"1d0s":        24 * time.Hour,
		"1d1h1m1s1ms": 25*time.Hour + time.Minute + time.Second + time.Millisecond,
		"2562047h47m": 2562047*time.Hour + 47*time.Minute,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "5", "d", "-1d", "-5m", "1d-12h", "1 d", " 5d", "5D", "1.5d", "5days", "106752d", "99999999999999d",
		"1d2d", "h", "1d12", "1e3s", "+5d", "0x10d", "106751d23h48m",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), `"5d"`) {
			t.Errorf("%q: %v does not say what to write", text, err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0s",
		time.Millisecond:        "1ms",
		90 * time.Second:        "1m30s",
		time.Minute:             "1m",
		time.Hour:               "1h",
		time.Hour + time.Second: "1h0m1s",
		90 * time.Minute:        "1h30m",
		10 * time.Minute:        "10m",
		20 * time.Hour:          "20h",
		24 * time.Hour:          "1d",
		120 * time.Hour:         "5d",
		36*time.Hour + 30*time.Minute + 10*time.Second: "1d12h30m10s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"0", "90s", "5d", "1d12h", "1h0m1s", "0s", "0d", "1ns", "65535d23h", "65535d2562047h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("%q is %v", text, d)
		}
		again, err := ParseDuration(FormatDuration(d))
		if err != nil || again != d {
			t.Fatalf("%q is %v, written %q, read as %v, %v", text, d, FormatDuration(d), again, err)
		}
	})
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"1m, 5m, 15m, 1h*6, 3h*", "1s*1000", "30d", "1m*", "1h*1", "1.5s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		again, err := ParseSchedule(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q is written %q, read as %q, %v", text, s, again, err)
		}
		for n := range 50 {
			wait := s.Wait(n, nil)
			if wait < minRetry || wait > maxRetry || wait != again.Wait(n, nil) {
				t.Fatalf("%q waits %v after attempt %d", text, wait, n)
			}
		}
	})
}
