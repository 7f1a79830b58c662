package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/selftest"
)

// selftest takes a message the whole way of a pipeline, as a user would hand
// it in, to a receiver in the place of the queue.
func (s *Server) selftest(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	env, to, err := envelopeOf(q)
	if err != nil {
		return err
	}
	allowMessage(w)
	ctx, cancel := s.untilDrain(r.Context())
	defer cancel()
	p, release, err := s.pipeline(q.Get("pipeline"))
	if err != nil {
		return err
	}
	defer release()
	session, err := sessionOf(p, q.Get("user"))
	if err != nil {
		return err
	}
	report, err := s.try(r.WithContext(ctx), p, session, env, to)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, report)
	return nil
}

// sessionOf is that of the user, or, without one, that of the administrator.
func sessionOf(p *appliance.Pipeline, user string) (*appliance.Session, error) {
	session := &appliance.Session{
		ID: appliance.NewSessionID(), Hello: p.Hostname(), Extended: true, Submission: true, Trial: true,
	}
	if user == "" {
		session.Trusted = appliance.TrustedAdmin
		return session, nil
	}
	var asked []string
	for _, a := range p.Auth {
		k, ok := a.To().(appliance.UserKnower)
		if !ok {
			session.Identity = &appliance.Identity{User: user, By: a.Addr()} // it might let them in
			return session, nil
		}
		if name, ok := k.KnownUser(user); ok {
			session.Identity = &appliance.Identity{User: name, By: a.Addr()}
			return session, nil
		}
		asked = append(asked, a.String())
	}
	if asked == nil {
		return nil, badRequest("user %q: nobody can log in, the pipeline has no auth", user)
	}
	return nil, badRequest("user %q is unknown to %s", user, strings.Join(asked, " and "))
}

// try drives the trial. What the pipeline refuses is a report, too.
func (s *Server) try(r *http.Request, p *appliance.Pipeline, session *appliance.Session, env appliance.Envelope, to []appliance.Mailbox) (report selftest.Report, err error) {
	ctx := r.Context()
	bulk := r.URL.Query().Get("bulk") == "true"
	trial := p.Trial(func(ctx context.Context, m appliance.Accepted) error {
		l, err := selftest.Prepare(ctx, s.opts.Appliance, m)
		if err != nil {
			return err
		}
		l.Bulk = bulk
		report = selftest.Judge(ctx, l)
		return nil
	})
	var h appliance.Header
	tx, err := trial.Mail(ctx, session, env)
	if err == nil {
		defer tx.End()
		for _, m := range to {
			if err = trial.Rcpt(ctx, tx, appliance.Recipient{Mailbox: m}); err != nil {
				break
			}
		}
	}
	if err == nil {
		_, err = trial.Data(ctx, tx, newLineReader(r.Body))
		h = tx.Message.Header
	}
	reply, refused := errors.AsType[*appliance.Reply](err)
	if !refused {
		return report, err
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return report, tooLarge(big.Limit)
	}
	for _, m := range to {
		env.Recipients = append(env.Recipients, appliance.Recipient{Mailbox: m})
	}
	return selftest.Refused(selftest.Summarize(env, &h), reply), nil
}

// A Selftest is what [Client.Selftest] tries besides the message.
type Selftest struct {
	Submission
	User string // who has logged in; "" is the administrator
	Bulk bool   // it is one of many that are alike
}

// Selftest takes a message the way of the server to a receiver that says what
// it thinks of it. Nobody gets it.
func (c *Client) Selftest(ctx context.Context, t Selftest, message io.Reader) (report selftest.Report, err error) {
	q := t.query()
	if t.User != "" {
		q.Set("user", t.User)
	}
	q.Set("bulk", fmt.Sprint(t.Bulk))
	resp, err := c.do(ctx, http.MethodPost, "/v1/selftest", q, typeMessage, message)
	if err != nil {
		return report, err
	}
	return report, decode(resp, &report)
}
