package smtpconn

import (
	"cmp"
	"time"
)

// Timeouts bound the wait for a next hop, stage by stage. The defaults are
// the minima of RFC 5321, section 4.5.3.2; zero fields mean the default.
type Timeouts struct {
	Connect   time.Duration // TCP; default 30s, RFC 5321 names none
	Handshake time.Duration // TLS; default 1m
	Greeting  time.Duration // section 4.5.3.2.1: 5m
	Hello     time.Duration // EHLO, HELO, STARTTLS, AUTH, RSET; default 5m
	Mail      time.Duration // section 4.5.3.2.2: 5m
	Rcpt      time.Duration // section 4.5.3.2.3: 5m
	Data      time.Duration // section 4.5.3.2.4, until 354: 2m
	Block     time.Duration // section 4.5.3.2.5, for each block written: 3m
	Final     time.Duration // section 4.5.3.2.6, for the reply to the final dot: 10m
	Quit      time.Duration // default 5s: nothing depends on the reply
	Attempt   time.Duration // all servers of one attempt together; default 1h
}

func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Connect:   cmp.Or(t.Connect, 30*time.Second),
		Handshake: cmp.Or(t.Handshake, time.Minute),
		Greeting:  cmp.Or(t.Greeting, 5*time.Minute),
		Hello:     cmp.Or(t.Hello, 5*time.Minute),
		Mail:      cmp.Or(t.Mail, 5*time.Minute),
		Rcpt:      cmp.Or(t.Rcpt, 5*time.Minute),
		Data:      cmp.Or(t.Data, 2*time.Minute),
		Block:     cmp.Or(t.Block, 3*time.Minute),
		Final:     cmp.Or(t.Final, 10*time.Minute),
		Quit:      cmp.Or(t.Quit, 5*time.Second),
		Attempt:   cmp.Or(t.Attempt, time.Hour),
	}
}

// A stage is a moment in the conversation; it names the wait in errors.
type stage string

const (
	stageConnect   stage = "connect"
	stageGreeting  stage = "greeting"
	stageHello     stage = "EHLO"
	stageStartTLS  stage = "STARTTLS"
	stageHandshake stage = "TLS handshake"
	stageAuth      stage = "AUTH"
	stageReset     stage = "RSET"
	stageMail      stage = "MAIL"
	stageRcpt      stage = "RCPT"
	stageData      stage = "DATA"
	stageContent   stage = "content"
	stageFinal     stage = "end of data"
	stageQuit      stage = "QUIT"
)

// of is how long to wait for the reply of a stage.
func (t *Timeouts) of(s stage) time.Duration {
	switch s {
	case stageGreeting:
		return t.Greeting
	case stageMail:
		return t.Mail
	case stageRcpt:
		return t.Rcpt
	case stageData:
		return t.Data
	case stageContent:
		return t.Quit // last words of a server that stopped reading
	case stageFinal:
		return t.Final
	case stageQuit:
		return t.Quit
	}
	return t.Hello
}
