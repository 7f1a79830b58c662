package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// send takes a message on the same road as a listener does.
func (s *Server) send(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	env, to, err := envelopeOf(q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(r.Context(), allowMessage(w))
	defer cancel()
	job := sending{server: s, r: r.WithContext(ctx), env: env, to: to}
	if q.Get("wait") == "true" {
		return job.follow(w)
	}
	sent, err := job.run(func(appliance.QueueID) error { return nil })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, sent)
	return nil
}

// envelopeOf reads from and to of a query. from may be empty, which is the null
// reverse-path like "<>", but not missing.
func envelopeOf(q url.Values) (appliance.Envelope, []appliance.Mailbox, error) {
	env := appliance.Envelope{EightBit: true}
	if !q.Has("from") {
		return env, nil, badRequest(`from is missing; write a mailbox, or "<>" for the null reverse-path`)
	}
	var err error
	if from := q.Get("from"); from != "" && from != "<>" {
		if env.From, err = appliance.ParseMailbox(from); err != nil {
			return env, nil, badRequest("from %q: %v", from, err)
		}
	}
	env.SMTPUTF8 = !env.From.IsASCII()
	var to []appliance.Mailbox
	for _, text := range q["to"] {
		m, err := appliance.ParseMailbox(text)
		if err != nil {
			return env, nil, badRequest("to %q: %v", text, err)
		}
		to = append(to, m)
		env.SMTPUTF8 = env.SMTPUTF8 || !m.IsASCII()
	}
	if len(to) == 0 {
		return env, nil, badRequest("to is missing; write at least one mailbox")
	}
	return env, to, nil
}

// A sending is one message on its way into the queue.
type sending struct {
	server *Server
	r      *http.Request
	env    appliance.Envelope
	to     []appliance.Mailbox
}

// run drives the pipeline. begun is called when the id is known and before
// anything has happened to the message.
func (j sending) run(begun func(appliance.QueueID) error) (Sent, error) {
	leave, err := j.server.enter()
	if err != nil {
		return Sent{}, err
	}
	defer leave()
	p, release, err := j.server.pipeline(j.r.URL.Query().Get("pipeline"))
	if err != nil {
		return Sent{}, err
	}
	defer release()
	ctx := j.r.Context()
	session := &appliance.Session{
		ID: appliance.NewSessionID(), Hello: p.Hostname(), Extended: true, Submission: true, Trusted: appliance.TrustedAdmin,
	}
	tx, err := p.Mail(ctx, session, j.env)
	if err != nil {
		return Sent{}, err
	}
	defer tx.End()
	for _, to := range j.to {
		if err := p.Rcpt(ctx, tx, appliance.Recipient{Mailbox: to}); err != nil {
			return Sent{}, fmt.Errorf("%s: %w", to.Path(), err)
		}
	}
	if err := begun(tx.ID); err != nil {
		return Sent{}, err
	}
	id, err := p.Data(ctx, tx, newLineReader(j.r.Body))
	return Sent{id, len(tx.Envelope.Recipients)}, err
}

// follow answers with [Sent] and then a line for each event of the message,
// until each recipient has an outcome that is final.
func (j sending) follow(w http.ResponseWriter) error {
	hub := j.server.opts.Events
	var from *reader
	defer func() {
		if from != nil {
			hub.leave(from)
		}
	}()
	sent, err := j.run(func(id appliance.QueueID) (err error) {
		var ok bool
		if from, ok = hub.watch(id); !ok {
			return tooManyReaders()
		}
		return nil
	})
	if err != nil {
		return err
	}
	out := newLines(w)
	if err := out.write(sent); err != nil {
		return nil //nolint:nilerr // the client has gone; the message is queued
	}
	left := sent.Recipients
	j.server.stream(j.r, out, from, func(e appliance.Event) bool {
		if e.Kind.Final() {
			left--
		}
		return left > 0
	})
	return nil
}

// pipeline finds the pipeline to send by: the one with the name, or the only
// one whose users may send anywhere.
func (s *Server) pipeline(name string) (*appliance.Pipeline, func(), error) {
	if name == "" {
		var err error
		if name, err = s.outgoing(); err != nil {
			return nil, nil, err
		}
	}
	p, release, ok := s.opts.Appliance.Acquire(name)
	if !ok {
		return nil, nil, badRequest("there is no pipeline %q; there is: %s", name, strings.Join(s.pipelines(), ", "))
	}
	return p, release, nil
}

func (s *Server) pipelines() []string {
	var names []string
	for _, n := range s.opts.Appliance.Graph().Pipelines() {
		names = append(names, n.Addr.Name)
	}
	return names
}

// outgoing names the pipeline that a message of nobody in particular takes.
func (s *Server) outgoing() (string, error) {
	all := s.pipelines()
	if len(all) == 1 {
		return all[0], nil
	}
	var names []string
	for _, n := range s.opts.Appliance.Graph().Pipelines() {
		if n.Pipeline.CanAuthenticate() {
			names = append(names, n.Addr.Name)
		}
	}
	switch {
	case len(all) == 0:
		return "", &Error{Status: http.StatusConflict, Message: "the configuration has no pipeline: add one"}
	case len(names) == 1:
		return names[0], nil
	}
	return "", badRequest("which pipeline? Name one of: %s", strings.Join(all, ", "))
}
