package smarthost

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// An endpoint is one configured address.
type endpoint struct {
	host string // a name or an IP address
	port uint16
	tls  smtpconn.TLSMode
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(int(e.port))) }

// local says that the endpoint is this machine, whatever DNS says.
func (e endpoint) local() bool {
	ip, err := netip.ParseAddr(e.host)
	return err == nil && ip.IsLoopback() || e.host == "localhost"
}

// endpoints parses the addresses. The error is an AttrError.
func (s *Smarthost) endpoints() ([]endpoint, error) {
	attr, list := "addresses", s.Addresses
	if s.Address != "" || len(list) == 0 {
		attr, list = "address", []string{s.Address}
	}
	if s.Address != "" && len(s.Addresses) > 0 {
		return nil, &appliance.AttrError{Attr: "addresses", Msg: "stands beside address; write one of them"}
	}
	if list[0] == "" {
		return nil, &appliance.AttrError{Attr: attr, Msg: `is missing; write the server and its port, such as "smtp.example.net:587"`}
	}
	var all []endpoint
	for _, text := range list {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, &appliance.AttrError{Attr: attr, Msg: err.Error()}
		}
		if e.tls, err = s.mode(e.port); err != nil {
			return nil, &appliance.AttrError{Attr: "tls", Msg: err.Error()}
		}
		all = append(all, e)
	}
	return all, nil
}

// mode is the TLS mode for a port.
func (s *Smarthost) mode(port uint16) (smtpconn.TLSMode, error) {
	switch {
	case s.TLS != "":
		return smtpconn.ParseTLSMode(s.TLS, smtpconn.TLSVerified, smtpconn.TLSImplicit, smtpconn.TLSRequired,
			smtpconn.TLSOpportunistic, smtpconn.TLSNone)
	case port == 465: // RFC 8314, section 3.3
		return smtpconn.TLSImplicit, nil
	case s.Username != "", s.HasClientCertificate(), s.CAFile != "", s.ServerName != "":
		return smtpconn.TLSVerified, nil
	}
	return smtpconn.TLSOpportunistic, nil
}

// parseEndpoint parses "host:port", or a host alone with the port of
// submission.
func parseEndpoint(text string) (endpoint, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "587"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return endpoint{}, fmt.Errorf(`%q has no port between 1 and 65535; write "smtp.example.net:587"`, text)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return endpoint{host: ip.String(), port: uint16(n)}, nil
	}
	name, err := appliance.ParseDomain(strings.TrimSuffix(host, "."))
	if err != nil || strings.HasPrefix(name, "[") {
		return endpoint{}, fmt.Errorf(`%q is not the name or the IP address of a server; write "smtp.example.net:587"`, text)
	}
	return endpoint{host: name, port: uint16(n)}, nil
}
