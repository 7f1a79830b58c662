// Package peers starts mail servers for the benchmark: each as its
// documentation says, with safe durability, and all with the same work.
//
// A Peer is a program that may be installed. Its Start writes a configuration
// into a directory of its own, runs the program in a Box, which measures the
// processes, and returns when it listens. Everything is on loopback, and
// nothing outside of the directory is written to.
//
// What all have in common is written once, in Setup and the constants below:
// mail comes from SenderDomain, and goes, whatever its recipient, to the next
// hop that Setup names.
package peers

import "errors"

// What the messages and the configurations agree on.
const (
	Hostname        = "relay.sender.test"
	SenderDomain    = "sender.test"
	RecipientDomain = "dest.test"
	Selector        = "sel" // the record is SELECTOR._domainkey.sender.test
	Sender          = "app@sender.test"
	Recipient       = "someone@dest.test"

	User     = "app@sender.test"
	Password = "berries in winter" // guards nothing: the servers live for seconds, on loopback

	// MaxConnections is what a server has to bear at least, all of them from
	// 127.0.0.1. Many a default has to be raised for it.
	MaxConnections = 600
	// MaxMessageSize in octets is what it has to take at least.
	MaxMessageSize = 25 << 20
	// MaxQueue is how many messages it has to hold at least.
	MaxQueue = 50_000
)

// Setup is what every peer is given: its work has to be the same.
type Setup struct {
	Dir     string // of its own, empty, absolute, on the disk that is measured
	Address string // host:port to listen on; loopback
	NextHop string // host:port of the sink: plain SMTP, all mail goes there
	Sign    bool   // DKIM with RSA-2048, relaxed/relaxed, d=sender.test, s=sel
	Login   bool   // STARTTLS and AUTH PLAIN are required; else 127.0.0.0/8 may relay without
	Keys    Keys
	DNS     string // host:port of a server that knows the test domains, if Needs asks for it
}

// Keys are files, readable by everybody, that are made once for a run.
type Keys struct {
	DKIMPKCS1, DKIMPKCS8 string // the private RSA-2048 key, PEM, in both forms
	TLSCert, TLSKey      string // of relay.sender.test, localhost and 127.0.0.1, PEM
}

// A Peer is a mail server that can be measured.
type Peer interface {
	// Name is what -peers calls it and the tables print: "postfix".
	Name() string
	// Version names the programs that are measured: "Postfix 3.10.5, OpenDKIM
	// 2.11.0". The error of a program that is not there says how to install it.
	Version() (string, error)
	// Start has begun to listen when it returns. After an error nothing of it
	// runs; what the box holds is killed anyhow.
	Start(box *Box, s Setup) (Server, error)
}

// A Server is a peer that runs.
type Server interface {
	// Flush has everything in the queue tried now: by a command, a signal or a
	// restart. It does not wait for the outcome. A peer that cannot do it
	// returns ErrNoFlush.
	Flush() error
	// Stop ends every process and returns when they have ended. The
	// directory is left.
	Stop() error
}

// ErrNoFlush is returned by a server that cannot be told to try its queue.
var ErrNoFlush = errors.New("this server cannot be told to try its queue now")

// Needy is a peer that asks for more than the others.
type Needy interface {
	Peer
	Needs() Needs
}

// Needs says what a peer cannot do without.
type Needs struct {
	Root   bool // is started by root only
	Login  bool // takes no mail without STARTTLS and AUTH
	Port25 bool // delivers to port 25 only: NextHop is on it
	DNS    bool // looks for MX records: RecipientDomain is answered, and /etc/resolv.conf in the box names Setup.DNS
	SetUID bool // has to gain privileges by exec, which a seccomp filter forbids
}

// NeedsOf is what a peer needs; most need nothing.
func NeedsOf(p Peer) Needs {
	if n, ok := p.(Needy); ok {
		return n.Needs()
	}
	return Needs{}
}

// All are the peers in the order of the tables.
func All() []Peer {
	return []Peer{
		Waxwing(),
		WaxwingLibcrypto(),
		Postfix(),
		PostfixTuned(),
		Exim(),
		Haraka(),
		Maddy(),
		Chasquid(),
	}
}
