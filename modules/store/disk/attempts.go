package disk

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// encodeAttempts writes what a delivery remembers. It is read only for a
// person who looks, and when an attempt is added: what is leased for delivery
// comes without it.
func encodeAttempts(attempts []appliance.Attempt) []byte {
	if len(attempts) == 0 {
		return nil
	}
	var e encoder
	e.uint(uint64(len(attempts)))
	for i := range attempts {
		e.attempt(&attempts[i])
	}
	return e.b
}

// decodeAttempts has no error: a memory that makes no sense is none. It is not
// worth its message.
func decodeAttempts(b []byte) []appliance.Attempt {
	if len(b) == 0 {
		return nil
	}
	var attempts []appliance.Attempt
	d := decoder{b: b}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		attempts = append(attempts, d.attempt())
	}
	if d.end() != nil {
		return nil
	}
	return attempts
}

// remember is attempts with one more, if there is one.
func remember(attempts []byte, next *appliance.Attempt) []byte {
	if next == nil {
		return attempts
	}
	return encodeAttempts(appliance.Remember(decodeAttempts(attempts), *next))
}

func (e *encoder) attempt(a *appliance.Attempt) {
	e.time(a.Began)
	e.int(int64(a.Took))
	e.uint(uint64(a.Number))
	e.uint(uint64(len(a.Tries)))
	for i := range a.Tries {
		t := &a.Tries[i]
		e.text(t.Host)
		e.text(t.Peer)
		e.text(t.TLS)
		e.int(int64(t.Took))
		e.reply(&t.Reply)
		e.text(t.Dialogue)
	}
	e.uint(uint64(len(a.Outcomes)))
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		e.text(o.Relay)
		e.uint(uint64(len(o.Recipients)))
		for _, i := range o.Recipients {
			e.uint(uint64(i))
		}
		e.reply(&o.Result.Reply)
		e.flags(o.Result.Remote)
		e.text(o.Result.Host)
		e.text(o.Result.Peer)
		e.text(o.Result.TLS)
		e.text(string(o.Result.Class))
	}
}

func (d *decoder) attempt() (a appliance.Attempt) {
	a.Began = d.time()
	a.Took = time.Duration(d.int())
	a.Number = int(d.uint())
	for n := d.count(); n > 0 && d.err == nil; n-- {
		a.Tries = append(a.Tries, appliance.Try{
			Host: d.text(), Peer: d.text(), TLS: d.text(), Took: time.Duration(d.int()),
			Reply: d.reply(), Dialogue: d.text(),
		})
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		o := appliance.AttemptOutcome{Relay: d.text()}
		for k := d.count(); k > 0 && d.err == nil; k-- {
			o.Recipients = append(o.Recipients, int(d.uint()))
		}
		o.Result.Reply = d.reply()
		d.flags(&o.Result.Remote)
		o.Result.Host = d.text()
		o.Result.Peer = d.text()
		o.Result.TLS = d.text()
		o.Result.Class = d.class()
		a.Outcomes = append(a.Outcomes, o)
	}
	return a
}

// reply keeps the cause too, as a text.
func (e *encoder) reply(r *appliance.Reply) {
	e.int(int64(r.Code))
	e.int(int64(r.Detail.Subject))
	e.int(int64(r.Detail.Detail))
	e.text(r.Text)
	cause := ""
	if r.Err != nil {
		cause = r.Err.Error()
	}
	e.text(cause)
}

func (d *decoder) reply() (r appliance.Reply) {
	r.Code = int(d.int())
	r.Detail.Subject = int(d.int())
	r.Detail.Detail = int(d.int())
	r.Text = d.text()
	if cause := d.text(); cause != "" {
		r.Err = appliance.Cause(cause)
	}
	return r
}
