package queue

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dsn"
)

// wanted says whether the sender is to be told about a recipient.
func (a *attempt) wanted(i int, event appliance.Notify) bool {
	return dsn.Wanted(&a.leased.Envelope, &a.d.Recipients[i].Recipient, event)
}

// describe is a recipient as a report knows it.
func (a *attempt) describe(i int) dsn.Recipient {
	to := &a.d.Recipients[i]
	r := dsn.Recipient{Recipient: to.Recipient, Result: to.Last, LastAttempt: to.When}
	switch {
	case !a.fates[i].expired:
	case !to.Last.Remote && to.Last.Reply.Detail.Subject == 7:
		// A policy, such as TLS that was a must, and not that nobody was there.
		r.Status = fmt.Sprintf("5.7.%d", to.Last.Reply.Detail.Detail)
	default:
		r.Status = "4.4.7" // RFC 3463, section 3.5: delivery time expired
	}
	return r
}

// reportFailures tells senders who want to know it which recipients have
// failed. Who waited for that only has a share of its own: a digest that names
// the others does not name those that have failed since.
func (a *attempt) reportFailures() {
	var waited, failed []int
	for i := range a.d.Recipients {
		switch {
		case !a.failed(i) || !a.wanted(i, appliance.NotifyFailure):
		case a.fates[i].tried:
			failed = append(failed, i)
		default:
			waited = append(waited, i)
		}
	}
	for _, group := range [][]int{waited, failed} {
		if len(group) == 0 {
			continue
		}
		if err := a.reportFailed(group); err != nil {
			a.e.house.Log.Warn("a failure report cannot be made for now; its recipients wait for it",
				zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
			a.unfail(group)
		}
	}
}

// reportFailed makes one report of a group of recipients, or what the ration
// of their sender gives them instead.
func (a *attempt) reportFailed(group []int) error {
	about := make([]dsn.Recipient, len(group))
	for k, i := range group {
		about[k] = a.describe(i)
	}
	share, known := share{}, false
	if !a.fates[group[0]].tried {
		share, known = a.e.rations.again(a.e.now(), a.leased)
	}
	if !known {
		share = a.e.rations.take(a.e.now(), a.settings.ReportLimit, a.leased, about)
	}
	switch {
	case share.report:
		return a.report(dsn.Failed, about)
	case share.digest != nil:
		return a.reportDigest(share)
	case !share.covered:
		a.hold(group, share.until)
	}
	return nil
}

// hold lets recipients that have failed wait for their report until a time.
func (a *attempt) hold(group []int, until time.Time) {
	for _, i := range group {
		if to := &a.d.Recipients[i]; a.fates[i].expired { // a 4yz would be tried again
			to.Last.Reply, to.Last.Remote, to.Last.Class = *ended(errExpired, &to.Last.Reply), false, appliance.ClassExpired
		}
	}
	a.unfail(group)
	if a.until.IsZero() || until.Before(a.until) {
		a.until = until
	}
}

// reportDigest makes the digest of what was held back.
func (a *attempt) reportDigest(s share) error {
	before := len(a.reports)
	err := a.make(func(r dsn.Report) (appliance.Envelope, appliance.Header, []byte) {
		return s.digest.Build(r, a.settings.Postmaster)
	})
	if err != nil {
		a.e.rations.settled(s.batch, false)
		return err
	}
	if len(a.reports) > before {
		a.e.house.Log.Warn("so many messages of a sender have failed that one digest stands for their reports",
			zap.Stringer("sender", s.digest.Sender), zap.String("id", string(a.reports[before].ID)))
	}
	a.batch = s.batch
	return nil
}

// reportSuccess tells the sender who was delivered, if it wants to know and the
// next hop will not say it: RFC 3461, section 5.2.2 (b), asks for a report of
// the action "relayed" where NOTIFY=SUCCESS could not be passed on; where the
// next hop has the mailbox itself, it is "delivered" (section 5.3). What is
// delivered stays so; a report that cannot be made is given up.
func (a *attempt) reportSuccess() {
	var relayed, delivered []dsn.Recipient
	for i := range a.d.Recipients {
		to := &a.d.Recipients[i]
		switch {
		case !a.fates[i].tried || to.Status != appliance.Delivered || to.Last.Notifies || !a.wanted(i, appliance.NotifySuccess):
		case to.Last.Final:
			delivered = append(delivered, a.describe(i))
		default:
			relayed = append(relayed, a.describe(i))
		}
	}
	a.reportGood(dsn.Relayed, relayed)
	a.reportGood(dsn.Delivered, delivered)
}

func (a *attempt) reportGood(action dsn.Action, about []dsn.Recipient) {
	if len(about) == 0 || !a.mayReport() {
		return
	}
	if err := a.report(action, about); err != nil {
		a.e.house.Log.Warn("a report of success cannot be made and is given up",
			zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
	}
}

// mayReport says whether the sender may have one more report that is not
// about a failure.
func (a *attempt) mayReport() bool {
	return a.e.rations.spend(a.e.now(), a.settings.ReportLimit, a.leased.Envelope.From)
}

// report makes a report about recipients.
func (a *attempt) report(action dsn.Action, about []dsn.Recipient) error {
	return a.make(func(r dsn.Report) (appliance.Envelope, appliance.Header, []byte) {
		r.Action, r.Recipients = action, about
		return dsn.Build(r)
	})
}

// make makes a report, which is stored with the outcome. A report that the
// configuration refuses to deliver is given up; any other error is for now.
func (a *attempt) make(build func(dsn.Report) (appliance.Envelope, appliance.Header, []byte)) error {
	var msg appliance.Accepted
	err := a.guard("report", func() (err error) {
		env, header, body := build(dsn.Report{
			Hostname:  a.e.house.Hostname,
			Domain:    a.fromDomain(),
			MessageID: string(appliance.NewQueueID(a.e.now())),
			Time:      a.e.now(),
			Envelope:  a.leased.Envelope,
			Message:   &a.leased.Message,
			Received:  a.leased.Received,
		})
		msg, err = a.pipeline.Report(a.e.attempts, env, header, body)
		return err
	})
	if refusal, ok := errors.AsType[*appliance.Reply](err); ok && refusal.Permanent() {
		a.e.house.Log.Error("a report cannot be sent: the configuration refuses it",
			zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
		return nil
	}
	if err == nil {
		a.reports = append(a.reports, msg)
	}
	return err
}

// fromDomain is the domain of the From field of a report: one that the
// pipeline signs for, so that the signature is aligned with it. The name of
// this server is used if it lies in a domain that the original is signed for.
func (a *attempt) fromDomain() string {
	host, signed := a.e.house.Hostname, a.leased.Origin.SignedBy
	for _, d := range signed {
		if host == d || strings.HasSuffix(host, "."+d) {
			return host
		}
	}
	if len(signed) > 0 {
		return signed[0]
	}
	return host
}
