package queue

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// Pauses between deliveries to a site that has enough although it gets
	// only one at a time.
	minSlow = time.Second
	maxSlow = time.Minute
	// A step back to full speed is made after so many answers in a row, or
	// with the first one after so much time without trouble.
	calmAnswers = 5
	calmTime    = 5 * time.Minute
)

// load is how much a site takes, as far as it has told. It begins with
// firstLimit deliveries at a time, and each answer adds one. When the site has
// enough the number is halved, and from then on a whole round of answers adds
// one. If one at a time is too much as well, there are pauses between them,
// which double each time and are taken back by half.
type load struct {
	limit   int           // deliveries at a time
	slow    time.Duration // pause between two deliveries
	wary    bool          // the site has had enough before
	answers int           // since the last change
	changed time.Time     // when that was
	cutAt   time.Time     // when it was cut last
	because appliance.Result
}

// answered notes a delivery that went well.
func (l *load) answered(now time.Time, most int) {
	l.answers++
	switch {
	case l.slow > 0 && l.answers < calmAnswers && now.Sub(l.changed) < calmTime:
		return
	case l.slow > 0:
		if l.slow /= 2; l.slow < minSlow {
			l.slow = 0
		}
	case l.wary && l.answers < l.limit:
		return
	case l.limit >= most:
		l.answers = 0
		return
	default:
		l.limit++
	}
	l.answers, l.changed = 0, now
}

// cut notes that the site has enough (full), or was lost in the middle of a
// message. What went out before the last cut says nothing new.
func (l *load) cut(full bool, results []appliance.Result, began, now time.Time) {
	if began.Before(l.cutAt) {
		return
	}
	switch {
	case l.limit > 1:
		l.limit /= 2
	case full:
		l.slow = min(max(minSlow, 2*l.slow), maxSlow)
	}
	l.wary, l.answers, l.changed, l.cutAt = true, 0, now, now
	for i := range results {
		if results[i].Reply.Temporary() {
			l.because = results[i]
			break
		}
	}
}
