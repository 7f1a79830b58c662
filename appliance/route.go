package appliance

// A Route sends some recipients of a pipeline somewhere else than its relay,
// or refuses them. The first route that matches decides.
type Route struct {
	// Which recipients: an expression over sender, recipient, client, user,
	// message, header(name) and attempt.
	When Condition `hcl:"when"`
	// Where to deliver them.
	Relay Ref[Relay] `hcl:"relay,optional"`
	// Or the reply that refuses them: "550 5.1.2 No such domain".
	Reject *ReplyText `hcl:"reject,optional"`
}

// A Condition is a compiled when expression. Both methods are pure.
type Condition interface {
	// Match evaluates the expression. An error defers: nobody knows where the
	// recipient belongs.
	Match(f *Facts) (bool, error)
	// NeedsContent says that the expression looks at the header or the size,
	// which are not known at RCPT.
	NeedsContent() bool
}

// Facts is what a Condition looks at.
type Facts struct {
	Sender    Mailbox
	Recipient Mailbox
	Client    string // IP address, "" if there is none
	User      string // authenticated user, "" if there is none
	Size      int64
	Header    *Header // nil before the content is there
	Attempt   int     // the attempt about to be made; 1 while the message is accepted
}

// A Decision is where a recipient goes: to a relay, or nowhere.
type Decision struct {
	Relay       Ref[Relay]
	Destination string // relay and next hop: what is scheduled together
	Reject      *Reply // 5yz; Relay is not set
}

// decide finds the route of one recipient. Without content, routes that need
// it are passed over: the answer is then preliminary.
func (p *Pipeline) decide(f *Facts) (Decision, error) {
	n, err := p.match(f)
	switch {
	case err != nil:
		return Decision{}, NewReply(451, 3, 5, "Routing is misconfigured, please try again later").With(err)
	case n < 0:
		return p.Towards(p.Relay, f.Recipient)
	case p.Routes[n].Reject != nil:
		return Decision{Reject: &p.Routes[n].Reject.Reply}, nil
	}
	return p.Towards(p.Routes[n].Relay, f.Recipient)
}

// match returns the index of the first route that matches, or -1.
func (p *Pipeline) match(f *Facts) (int, error) {
	for i, r := range p.Routes {
		if f.Header == nil && r.When.NeedsContent() {
			continue
		}
		var match bool
		err := p.guard(p.addr, func() (err error) {
			match, err = r.When.Match(f)
			return err
		})
		if err != nil || match {
			return i, err
		}
	}
	return -1, nil
}

// Towards is the decision for a relay that is chosen already.
func (p *Pipeline) Towards(relay Ref[Relay], to Mailbox) (d Decision, err error) {
	err = p.guard(relay.Addr(), func() error {
		d = Decision{Relay: relay, Destination: relay.Addr().Name + "/" + relay.To().NextHop(to)}
		return nil
	})
	return d, err
}

// Route finds where a queued recipient goes by the configuration of now.
// size is that of the whole message.
func (p *Pipeline) Route(l *Leased, to Mailbox, size int64) (Decision, error) {
	return p.decide(&Facts{
		Sender:    l.Envelope.From,
		Recipient: to,
		Client:    l.Origin.Client,
		User:      l.Origin.User,
		Size:      size,
		Header:    &l.Message.Header,
		Attempt:   l.Delivery.Attempts + 1,
	})
}
