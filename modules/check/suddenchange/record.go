package suddenchange

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/window"
)

// The things that are counted.
const (
	recipients = iota
	domains
	bounces
	kinds
)

// Limits of a record.
const (
	maxDomains = 256
	maxDays    = 30
	minDays    = 3     // before today, or there is nothing to compare with
	maxHeld    = 1_000 // messages in an hour
)

// A record is what is known of a user. It is stored.
type record struct {
	Since   time.Time            `json:"since"`
	Hour    [kinds]window.Window `json:"hour"`
	Held    window.Window        `json:"held"`
	Days    []day                `json:"days,omitempty"`    // oldest first; the last may be today
	Domains []uint32             `json:"domains,omitempty"` // used last at the end
	Told    time.Time            `json:"told"`
}

// A day is the most that was sent in an hour of one day.
type day struct {
	Number int64        `json:"day"`            // since 1970, UTC
	Held   bool         `json:"held,omitempty"` // something was held, and it is no measure
	Most   [kinds]int64 `json:"most"`
}

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// domainsOf are the numbers of the domains of recipients, each once.
func domainsOf(all []appliance.Recipient) []uint32 {
	var numbers []uint32
	for i := range all {
		h := fnv.New32a()
		_, _ = h.Write([]byte(all[i].Mailbox.Domain)) // never fails
		numbers = append(numbers, h.Sum32())
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// strange counts the domains that the user has not written to before.
func (r *record) strange(all []uint32) (n int) {
	for _, d := range all {
		if !slices.Contains(r.Domains, d) {
			n++
		}
	}
	return n
}

// note counts a message.
func (r *record) note(now time.Time, to, strange int64) {
	if r.Since.IsZero() {
		r.Since = now
	}
	window.Hour.Add(&r.Hour[recipients], now, to)
	window.Hour.Add(&r.Hour[domains], now, strange)
}

// bounced counts a recipient who could not be reached.
func (r *record) bounced(now time.Time) {
	if r.Since.IsZero() {
		r.Since = now
	}
	window.Hour.Add(&r.Hour[bounces], now, 1)
}

// judge says why the mail of a user is held, or "".
func (s *SuddenChange) judge(r *record, now time.Time) string {
	usual, days := r.usual(now)
	if days < minDays || now.Sub(r.Since) < s.Learn {
		return ""
	}
	for k, x := range [kinds]struct {
		what  string
		least int
	}{
		recipients: {"recipients", s.MinRecipients},
		domains:    {"domains never written to before", s.MinRecipients / 4},
		bounces:    {"bounces", s.MinRecipients / 5},
	} {
		n := window.Hour.Sum(&r.Hour[k], now)
		if n > max(int64(x.least), int64(s.Factor)*usual[k]) {
			return fmt.Sprintf("%d %s in an hour, where the most has been %d", n, x.what, usual[k])
		}
	}
	return ""
}

// usual is the most of any day before today, and how many such days there are.
func (r *record) usual(now time.Time) (most [kinds]int64, days int) {
	today := dayOf(now)
	for _, d := range r.Days {
		if d.Number >= today || d.Held {
			continue
		}
		days++
		for k := range most {
			most[k] = max(most[k], d.Most[k])
		}
	}
	return most, days
}

// learn makes what was not held part of what is usual.
func (r *record) learn(now time.Time, used []uint32) {
	d := r.today(now)
	for k := range d.Most {
		d.Most[k] = max(d.Most[k], window.Hour.Sum(&r.Hour[k], now))
	}
	r.Domains = slices.DeleteFunc(r.Domains, func(d uint32) bool { return slices.Contains(used, d) })
	r.Domains = append(r.Domains, used...)
	r.Domains = slices.Clone(r.Domains[max(0, len(r.Domains)-maxDomains):])
}

// today is the day of now, which is new with its first message.
func (r *record) today(now time.Time) *day {
	today := dayOf(now)
	if n := len(r.Days); n == 0 || r.Days[n-1].Number < today {
		r.Days = append(r.Days, day{Number: today})
		r.Days = slices.Clone(r.Days[max(0, len(r.Days)-maxDays):])
	}
	return &r.Days[len(r.Days)-1]
}

// hold counts a held message, and says whether there is room for it.
func (r *record) hold(now time.Time) bool {
	r.today(now).Held = true
	if window.Hour.Sum(&r.Held, now) >= maxHeld {
		return false
	}
	window.Hour.Add(&r.Held, now, 1)
	return true
}

// forgotten is after how long without mail a user begins anew.
const forgotten = 90 * 24 * time.Hour

// idle says whether a user has sent nothing for so long.
func (s *SuddenChange) idle(r *record) bool {
	last := dayOf(r.Since)
	if n := len(r.Days); n > 0 {
		last = r.Days[n-1].Number
	}
	return dayOf(s.now())-last > int64(forgotten/(24*time.Hour))
}
