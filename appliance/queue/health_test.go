package queue

import (
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSigns reads results.
func TestSigns(t *testing.T) {
	result := func(code int, remote bool) appliance.Result {
		return appliance.Result{Reply: appliance.Reply{Code: code}, Remote: remote}
	}
	says := func(code, subject, detail int, text string) appliance.Result {
		return appliance.Result{Reply: *appliance.NewReply(code, subject, detail, text), Remote: true}
	}
	ours := func(code, subject, detail int) appliance.Result {
		return appliance.Result{Reply: *appliance.NewReply(code, subject, detail, "")}
	}
	for _, c := range []struct {
		name    string
		results []appliance.Result
		want    sign
	}{
		{"nothing", nil, silent},
		{"delivered", []appliance.Result{result(250, true)}, answers},
		{"kept by ourselves", []appliance.Result{result(250, false)}, answers},
		{"refused", []appliance.Result{result(550, true)}, answers},
		{"deferred", []appliance.Result{result(451, true)}, answers},
		{"greylisted", []appliance.Result{says(451, 7, 1, "Greylisting in action, please come back later")}, answers},
		{"mailbox full", []appliance.Result{says(452, 2, 2, "Over quota")}, answers},
		{"no connection", []appliance.Result{result(451, false), result(451, false)}, dead},
		{"time-out", []appliance.Result{ours(451, 4, 2)}, dead},
		{"lost in the middle", []appliance.Result{result(250, true), result(451, false)}, answers},
		{"no such domain", []appliance.Result{result(550, false)}, silent},
		{"no such domain, after all", []appliance.Result{result(451, false), result(550, false)}, silent},
		{"lost in the middle of a message", []appliance.Result{result(250, true), {Reply: appliance.Reply{Code: 451}, Midway: true}}, shaky},
		{"our own fault", []appliance.Result{ours(451, 3, 0)}, silent},
		{"the DNS of the domain", []appliance.Result{ours(451, 4, 3)}, apart},
		{"the policy of the domain", []appliance.Result{ours(451, 7, 5)}, apart},
		{"enough", []appliance.Result{result(421, true), result(451, false)}, busy},
		{"enough, after all", []appliance.Result{result(250, true), result(421, true)}, busy},
		{"too fast", []appliance.Result{says(450, 4, 2, "Too many messages, slow down")}, busy},
		{"too fast for Google", []appliance.Result{says(421, 7, 28, "Our system has detected an unusual rate of unsolicited mail")}, busy},
		{"too fast for Microsoft", []appliance.Result{says(451, 7, 500, "Server busy. Please try again later")}, busy},
		{"refused for good, in words of too much", []appliance.Result{says(550, 4, 2, "Too many messages, slow down")}, answers},
	} {
		if got := read(c.results, appliance.ClassRules{}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestLoad: halved when the site has enough, then pauses, and back step by
// step.
func TestLoad(t *testing.T) {
	now := time.Now()
	l := load{limit: firstLimit}
	step := func(full, cut bool) {
		now = now.Add(time.Second)
		if cut {
			l.cut(full, nil, now, now)
		} else {
			l.answered(now, 16)
		}
	}
	check := func(what string, limit int, slow time.Duration) {
		t.Helper()
		if l.limit != limit || l.slow != slow {
			t.Fatalf("%s: limit %d, pause %v; want %d and %v", what, l.limit, l.slow, limit, slow)
		}
	}
	times := func(n int, f func()) {
		for range n {
			f()
		}
	}
	ok := func() { step(false, false) }
	enough := func() { step(true, true) }
	lost := func() { step(false, true) }

	times(20, ok)
	check("each answer adds one, up to the limit", 16, 0)
	enough()
	check("enough", 8, 0)
	times(7, ok)
	check("wary: less than a round", 8, 0)
	ok()
	check("a round", 9, 0)
	times(4, lost)
	check("lost four times", 1, 0)
	lost()
	check("a message that is lost again and again slows nothing down", 1, 0)
	times(3, enough)
	check("enough although it is one at a time", 1, 4*time.Second)
	times(10, enough)
	check("not without end", 1, maxSlow)
	times(calmAnswers, ok)
	check("a step back", 1, maxSlow/2)
	now = now.Add(calmTime)
	ok()
	check("five calm minutes are a step as well", 1, maxSlow/4)
	times(4*calmAnswers+1, ok)
	check("the pauses go before the number grows", 2, 0)
}

// TestCutOnce: what was under way together halves the number once.
func TestCutOnce(t *testing.T) {
	l := load{limit: 16}
	began := time.Now()
	for i := range 16 {
		l.cut(true, nil, began, began.Add(time.Duration(i+1)*time.Second))
	}
	if l.limit != 8 {
		t.Errorf("limit %d after sixteen answers to sixteen at a time, want 8", l.limit)
	}
}

// TestFailuresTogether: attempts that were under way together fail once.
func TestFailuresTogether(t *testing.T) {
	var o outage
	began := time.Now()
	for i := range 20 {
		o.add(appliance.Result{}, began, began.Add(time.Duration(i+1)*time.Second), time.Minute)
	}
	if o.failures != 1 || !o.until.Equal(began.Add(61*time.Second)) {
		t.Errorf("%d failures, down until %v after the start", o.failures, o.until.Sub(began))
	}
}
