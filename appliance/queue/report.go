package queue

import (
	"errors"
	"strings"

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
	if a.fates[i].expired {
		r.Status = "4.4.7" // RFC 3463, section 3.5: delivery time expired
	}
	return r
}

// reportFailures makes one report of all recipients that have failed and whose
// sender wants to know.
func (a *attempt) reportFailures() error {
	var failed []dsn.Recipient
	for i := range a.d.Recipients {
		if a.failed(i) && a.wanted(i, appliance.NotifyFailure) {
			failed = append(failed, a.describe(i))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return a.report(dsn.Failed, failed)
}

// reportRelayed tells the sender who was delivered, if it wants to know and the
// next hop will not say it: RFC 3461, section 5.2.2 (b), asks for a report of
// the action "relayed" where NOTIFY=SUCCESS could not be passed on. What is
// delivered stays so; a report that cannot be made is given up.
func (a *attempt) reportRelayed() {
	var relayed []dsn.Recipient
	for i := range a.d.Recipients {
		to := &a.d.Recipients[i]
		if a.fates[i].tried && to.Status == appliance.Delivered && !to.Last.Notifies && a.wanted(i, appliance.NotifySuccess) {
			relayed = append(relayed, a.describe(i))
		}
	}
	if len(relayed) == 0 {
		return
	}
	if err := a.report(dsn.Relayed, relayed); err != nil {
		a.e.house.Log.Warn("a report of success cannot be made and is given up",
			zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
	}
}

// report makes a report, which is stored with the outcome. A report that the
// configuration refuses to deliver is given up; any other error is for now.
func (a *attempt) report(action dsn.Action, about []dsn.Recipient) error {
	var msg appliance.Accepted
	err := a.guard("report", func() (err error) {
		env, header, body := dsn.Build(dsn.Report{
			Action:     action,
			Hostname:   a.e.house.Hostname,
			Domain:     a.fromDomain(),
			MessageID:  string(appliance.NewQueueID(a.e.now())),
			Time:       a.e.now(),
			Envelope:   a.leased.Envelope,
			Message:    &a.leased.Message,
			Received:   a.leased.Received,
			Recipients: about,
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
