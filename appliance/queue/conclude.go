package queue

import (
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dsn"
)

// conclude decides what follows from the results: who has waited too long,
// who is told, and when the next attempt is due.
func (a *attempt) conclude() {
	a.expire()
	a.reportFailures()
	a.reportSuccess()
	a.warn()
	a.schedule()
}

// expire fails the recipients of a message that is too old. Each of them has
// been tried in this attempt (R11).
func (a *attempt) expire() {
	if a.age() <= a.settings.Lifetime {
		return
	}
	for i := range a.waiting() {
		if a.fates[i].tried {
			a.d.Recipients[i].Status = appliance.Failed
			a.fates[i].expired = true
		}
	}
}

// age is how long ago the message came in; 0 if the clock says that it will.
func (a *attempt) age() time.Duration { return max(0, a.e.now().Sub(a.leased.Received)) }

// failed says whether the recipient has failed in this attempt.
func (a *attempt) failed(i int) bool {
	return a.d.Recipients[i].Status == appliance.Failed &&
		a.leased.Delivery.Recipients[i].Status == appliance.Waiting
}

// unfail keeps recipients waiting whose failure is not reported yet. A 5yz
// stays their last result, so that they are not attempted again; who was too
// old gets another attempt.
func (a *attempt) unfail(group []int) {
	for _, i := range group {
		a.d.Recipients[i].Status = appliance.Waiting
		a.fates[i].expired = false
	}
}

// warn tells the sender once that the message is late.
func (a *attempt) warn() {
	if a.d.Warned || a.settings.WarnAfter <= 0 || a.age() < a.settings.WarnAfter {
		return
	}
	var late []dsn.Recipient
	for i := range a.waiting() {
		if a.fates[i].tried && a.wanted(i, appliance.NotifyDelay) {
			r := a.describe(i)
			r.RetryUntil = a.leased.Received.Add(a.settings.Lifetime)
			late = append(late, r)
		}
	}
	if len(late) == 0 || !a.mayReport() {
		return
	}
	if err := a.report(dsn.Delayed, late); err != nil {
		a.e.house.Log.Warn("a delay report cannot be made for now",
			zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
		return
	}
	a.d.Warned = true
}

// schedule sets when the delivery is due again. What was put back stays due.
func (a *attempt) schedule() {
	if a.d.Done() || a.stopped {
		return
	}
	a.d.Due = a.e.now().Add(a.e.retryWait(a.settings.Retry, a.d.Attempts))
	if !a.until.IsZero() && (a.until.Before(a.d.Due) || !a.retries()) {
		a.d.Due = a.until
	}
}

// retries says whether a recipient waits for another attempt, and not for its
// report only.
func (a *attempt) retries() bool {
	for i := range a.waiting() {
		if !a.d.Recipients[i].Last.Reply.Permanent() {
			return true
		}
	}
	return false
}
