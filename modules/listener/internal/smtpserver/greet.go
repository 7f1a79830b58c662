package smtpserver

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// greet asks the pipeline whether the client is welcome and says so.
func (s *session) greet(ctx context.Context) {
	var err error
	var hostname string
	s.srv.with(func(p *appliance.Pipeline) {
		hostname = s.hostname(p)
		err = p.Connect(ctx, s.info)
	})
	if err != nil {
		s.bar(appliance.ReplyTo(err))
		return
	}
	s.srv.pause(s.srv.role.GreetDelay)
	if s.wire.ahead() && s.info.TLS == nil {
		s.banish(errPregreet)
		return
	}
	writePlain(s.wire.w, 220, hostname+" ESMTP")
}

// hostname is what the client is told that it talks to.
func (s *session) hostname(p *appliance.Pipeline) string {
	return cmp.Or(s.info.Hostname, p.Hostname())
}

// bar greets a client that is not welcome. RFC 5321, section 3.1: a server
// that answers 554 "MUST still wait for the client to send a QUIT … before
// closing the connection and SHOULD respond to any intervening commands with
// '503 bad sequence of commands'".
func (s *session) bar(r *appliance.Reply) {
	if r.Temporary() {
		s.expel(&appliance.Reply{Code: 421, Detail: r.Detail, Text: r.Text})
		return
	}
	writeReply(s.wire.w, &appliance.Reply{Code: 554, Detail: r.Detail, Text: r.Text})
	s.barred = true
}

func (s *session) helo(_ context.Context, arg string) {
	s.hello(arg, false)
}

func (s *session) ehlo(_ context.Context, arg string) {
	s.hello(arg, true)
}

// hello answers EHLO and HELO. RFC 5321, section 4.1.4: a second one clears
// all buffers and resets the state as RSET does.
func (s *session) hello(arg string, extended bool) {
	name, ok := sanitizeHello(arg)
	if !ok {
		s.refuse(appliance.NewReply(501, 5, 2, "Write your host name or address literal after EHLO"))
		return
	}
	s.endTransaction()
	s.greeted, s.info.Hello, s.info.Extended = true, name, extended
	s.srv.with(func(p *appliance.Pipeline) {
		lines := []string{s.hostname(p)}
		if extended {
			lines = append(lines, s.extensions(p)...)
		}
		writePlain(s.wire.w, 250, lines...)
	})
}

// extensions is what this session can do now.
func (s *session) extensions(p *appliance.Pipeline) []string {
	all := []string{
		"PIPELINING",
		fmt.Sprintf("SIZE %d", p.Limits().MaxMessageSize),
		fmt.Sprintf("LIMITS RCPTMAX=%d", p.Limits().MaxRecipients),
		"ENHANCEDSTATUSCODES",
		"8BITMIME",
		"SMTPUTF8",
		"DSN",
		"CHUNKING",
	}
	if s.info.TLS == nil && s.srv.tls != nil {
		all = append(all, "STARTTLS")
	}
	if s.mayRequireTLS(p) == nil {
		all = append(all, "REQUIRETLS")
	}
	if names := s.mechanisms(p); len(names) > 0 && s.mayAuthenticate(p) == nil {
		all = append(all, "AUTH "+strings.Join(names, " "))
	}
	return all
}

// maxHello is the longest EHLO argument taken: that of a domain (RFC 5321,
// section 4.5.3.1.2).
const maxHello = 255

// sanitizeHello makes a claimed name harmless: a domain or address literal in
// canonical form; anything else that is one word, with "?" for all but letters,
// digits and the punctuation of names and addresses.
func sanitizeHello(arg string) (string, bool) {
	if arg == "" || len(arg) > maxHello || strings.Contains(arg, " ") {
		return "", false
	}
	if d, err := appliance.ParseDomain(arg); err == nil {
		return d, true
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".-_:[]", r):
			return r
		}
		return '?'
	}, arg), true
}

func (s *session) noop(context.Context, string) { s.say(250, 0, 0, "OK") }

func (s *session) rset(_ context.Context, arg string) {
	if arg != "" {
		s.refuse(errNoArg)
		return
	}
	s.endTransaction()
	s.say(250, 0, 0, "OK")
}

// vrfy tells everybody the same about every name (RFC 5321, section 7.3).
func (s *session) vrfy(context.Context, string) {
	s.say(252, 5, 0, "Cannot verify a user; send the message and see")
}

func (s *session) expn(context.Context, string) {
	s.refuse(appliance.NewReply(502, 5, 1, "EXPN is not offered"))
}

func (s *session) help(context.Context, string) {
	s.say(214, 0, 0, "See RFC 5321; the reply to EHLO lists the extensions")
}

func (s *session) quitCommand(context.Context, string) {
	s.quit(appliance.NewReply(221, 0, 0, "Goodbye"))
}
