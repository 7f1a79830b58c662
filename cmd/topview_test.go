package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// TestTopView: what is shown, in the order of each key, and cut to the terminal.
func TestTopView(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	group := func(key string, waiting, active int, age time.Duration) admin.QueueGroup {
		return admin.QueueGroup{Key: key, QueueCount: admin.QueueCount{Recipients: waiting, Active: active, Oldest: now.Add(-age)}}
	}
	sum := admin.QueueSummary{
		QueueCount: admin.QueueCount{Messages: 7, Recipients: 9, Active: 4, Octets: 3 << 20},
		Groups:     []admin.QueueGroup{group("out/a", 5, 1, time.Minute), group("out/b", 3, 0, 26*time.Hour), group("out/c", 1, 3, time.Second)},
	}
	sum.Groups[0].Class, sum.Groups[0].Last = "rate", &admin.Reply{Code: 421, Status: "4.7.0", Text: "Too fast\x1b[2J"}
	v := newTopView()
	v.update(sum, now.Add(-30*time.Second))
	for range 4 {
		v.count("out/b")
	}
	v.count("out/c")
	v.update(sum, now)

	want := `7 messages, 9 recipients waiting, 4 active, 0 held, 3.0MiB; 10/min
sorted by what waits; keys: w waiting, a active, r rate, o oldest, q quit
DESTINATION  WAITING  ACTIVE  HELD  RATE   OLDEST  LAST
out/a        5        1       0     0/min  1m      rate: 421 4.7.0 Too fast·[2J
out/b        3        0       0     8/min  1d2h    -
out/c        1        3       0     2/min  1s      -
`
	if diff := cmp.Diff(want, v.render(0, 0, now)); diff != "" {
		t.Error(diff)
	}
	for key, order := range map[byte]string{'w': "abc", 'a': "cab", 'r': "bca", 'o': "bac"} {
		if !v.press(key) {
			t.Errorf("%c ends", key)
		}
		got := ""
		for _, g := range v.sorted() {
			got += strings.TrimPrefix(g.Key, "out/")
		}
		if got != order {
			t.Errorf("%c: %s, want %s", key, got, order)
		}
	}
	lines := strings.Split(v.render(40, 5, now), "\n")
	if len(lines) != 6 || lines[2] != "DEST…ION  WAITING  ACTIVE  HELD  RATE   " {
		t.Errorf("%q", lines)
	}
	if !v.press('x') || !v.press(0) || v.press('q') || v.press(3) {
		t.Error("q and Ctrl-C end, other keys do not")
	}
}

// TestTopRates: attempts count once, for the time in which they ended.
func TestTopRates(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	v := newTopView()
	v.count("before the first look")
	v.update(admin.QueueSummary{}, now)
	if len(v.rates) != 0 {
		t.Errorf("rates without a beginning: %v", v.rates)
	}
	v.count("a")
	v.update(admin.QueueSummary{}, now.Add(time.Minute))
	if diff := cmp.Diff(map[string]float64{"a": 1}, v.rates); diff != "" {
		t.Error(diff)
	}
	v.update(admin.QueueSummary{}, now.Add(2*time.Minute))
	if len(v.rates) != 0 {
		t.Errorf("counted twice: %v", v.rates)
	}
}

// TestTopSuspendedName: a name that somebody has suspended moves no cursor.
func TestTopSuspendedName(t *testing.T) {
	v := &topView{suspended: []appliance.Suspension{{Name: "a\x1b[2J\nb.test"}}}
	if got := v.render(0, 0, time.Now()); strings.Contains(got, "\x1b") || !strings.Contains(got, "suspended: a·[2J·b.test\n") {
		t.Errorf("%q", got)
	}
}
