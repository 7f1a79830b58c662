package smtpserver

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Settings are the attributes that all SMTP listeners have in common. A
// listener embeds them.
type Settings struct {
	// Where to listen: ":25", "192.0.2.1:25", "[2001:db8::1]:25" or
	// "unix:/run/waxwing/smtp.sock".
	Address string `hcl:"address,optional"`
	// What this listener calls itself in its greeting, to EHLO, and in the
	// Received field of what it takes: the name that its clients connect to, if
	// that is not the host name of the file. A tls "acme" block gets a
	// certificate for it too. Example: "smtp.example.com". Default: hostname of
	// the file.
	Hostname string `hcl:"hostname,optional"`
	// The tls block whose certificates are served. Default: the only tls block
	// of the file; without any, a self-signed certificate.
	TLS appliance.Ref[appliance.Certificates] `hcl:"tls,optional,only"`
	// Networks whose clients may send to any recipient without logging in:
	// "10.0.0.0/24", "2001:db8::/48" or single addresses. Not one that holds
	// the gateway of a container, such as 172.17.0.1: with Docker strangers can
	// seem to come from there. Default: none.
	Trusted []string `hcl:"trusted,optional"`
	// How long a client may take for one command, and to pause within a
	// message. Default 5m, which is what RFC 5321, section 4.5.3.2.7 asks for.
	IdleTimeout time.Duration `hcl:"idle_timeout,optional"`
	// How long the content of one message may take in all. Default 1h.
	DataTimeout time.Duration `hcl:"data_timeout,optional"`
	// Octets per second that the content of a message must make on average
	// once it has taken longer than idle_timeout. Default 512B; 0 asks for none.
	MinRate appliance.Size `hcl:"min_rate,optional"`
	// What to do with a message that has lines of more than 998 octets, which no
	// mail server has to take (RFC 5322, section 2.1.1) and many programs make:
	// "mend" encodes the parts that they are in, text as quoted-printable, before
	// the message is signed; what cannot be mended is refused. "refuse" answers
	// 550 to all of them. Default "mend".
	LongLines string `hcl:"long_lines,optional"`
	// Errors on one connection, without a message accepted in between, after
	// which it is closed: bad commands, refused recipients; a failed login
	// counts as five. From half of it on, replies are delayed. Default 20.
	MaxErrors int `hcl:"max_errors,optional"`
	// Connections of all clients at a time. Default: limits.max_connections.
	MaxConnections int `hcl:"max_connections,optional"`
	// Connections of one client address at a time; an IPv6 /64 counts as one
	// address. Default: limits.max_connections_per_ip.
	MaxConnectionsPerIP int `hcl:"max_connections_per_ip,optional"`
}

// DefaultSettings returns the defaults for a listener on address.
func DefaultSettings(address string) Settings {
	return Settings{
		Address:     address,
		IdleTimeout: 5 * time.Minute,
		DataTimeout: time.Hour,
		MinRate:     512,
		MaxErrors:   20,
		LongLines:   longLinesMend,
	}
}

// The values of Settings.LongLines.
const (
	longLinesMend   = "mend"
	longLinesRefuse = "refuse"
)

func (s *Settings) mends() bool { return s.LongLines == longLinesMend }

// Validate checks the settings. It is pure. The error is an
// [appliance.AttrError].
func (s *Settings) Validate() error {
	if err := s.validateAddress(); err != nil {
		return err
	}
	if _, err := s.hostname(); err != nil {
		return err
	}
	if _, err := s.networks(); err != nil {
		return err
	}
	switch {
	case s.IdleTimeout < time.Second:
		return attr("idle_timeout", `must be at least "1s"; RFC 5321 asks for "5m"`)
	case s.DataTimeout < s.IdleTimeout:
		return attr("data_timeout", fmt.Sprintf("must not be shorter than idle_timeout (%s)", s.IdleTimeout))
	case s.MinRate < 0:
		return attr("min_rate", `must not be negative; write "0B" to ask for none`)
	case s.LongLines != longLinesMend && s.LongLines != longLinesRefuse:
		return attr("long_lines", fmt.Sprintf(`%q: write "mend" or "refuse"`, s.LongLines))
	case s.MaxErrors < 1:
		return attr("max_errors", "must be at least 1")
	case s.MaxConnections < 0:
		return attr("max_connections", "must be at least 1; leave it out for limits.max_connections")
	case s.MaxConnectionsPerIP < 0:
		return attr("max_connections_per_ip", "must be at least 1; leave it out for limits.max_connections_per_ip")
	}
	return nil
}

func (s *Settings) validateAddress() error {
	network, rest := appliance.SplitNetwork(s.Address)
	if network == "unix" {
		if rest == "" {
			return attr("address", `needs a path after "unix:", such as "unix:/run/waxwing/smtp.sock"`)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || port == "" {
		return attr("address", fmt.Sprintf(`%q is not an address to listen on; write a port, such as ":25", or "192.0.2.1:25"`, s.Address))
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return attr("address", fmt.Sprintf("%q is not a port; write a number from 1 to 65535", port))
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		return attr("address", fmt.Sprintf("%q is not an IP address of this machine; leave it out to listen on all", host))
	}
	return nil
}

// hostname is the name of the listener in canonical form, "" if it has none of
// its own.
func (s *Settings) hostname() (string, error) {
	if s.Hostname == "" {
		return "", nil
	}
	name, err := appliance.ParseDomain(s.Hostname)
	if err == nil && name[0] == '[' {
		err = fmt.Errorf("%q is an address in brackets", s.Hostname)
	}
	if err != nil {
		return "", &appliance.AttrError{Attr: "hostname", Err: err,
			Msg: `must be a host name, such as "smtp.example.com"; leave it out for the hostname of the file`}
	}
	return name, nil
}

// A trusted is one entry of the trusted list.
type trusted struct {
	entry  string // as written
	prefix netip.Prefix
}

// TrustedNetworks implements [appliance.NetworkTruster].
func (s *Settings) TrustedNetworks() []netip.Prefix {
	all, _ := s.networks() // Validate has reported the error
	var prefixes []netip.Prefix
	for _, n := range all {
		prefixes = append(prefixes, n.prefix)
	}
	return prefixes
}

func (s *Settings) networks() ([]trusted, error) {
	var all []trusted
	for _, entry := range s.Trusted {
		p, err := appliance.ParseNetwork(entry)
		if err != nil {
			return nil, attr("trusted", err.Error())
		}
		all = append(all, trusted{entry, p})
	}
	return all, nil
}

func attr(name, msg string) error { return &appliance.AttrError{Attr: name, Msg: msg} }
