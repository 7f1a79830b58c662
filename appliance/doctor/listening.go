package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// listening is about where mail comes in.
func (s *Subject) listening() Group {
	g := Group{Name: "listeners"}
	for i := range s.Listeners {
		l := &s.Listeners[i]
		for _, address := range l.Addresses {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				continue // a unix socket: who may open it is trusted
			}
			where := fmt.Sprintf("%s, port %d", l.Addr, at.Port())
			g.Examinations = append(g.Examinations,
				one("open relay: "+where, func(ctx context.Context, name string) appliance.Finding { return s.openRelay(ctx, name, l, at) }))
			if !at.Addr().IsLoopback() {
				g.Examinations = append(g.Examinations,
					one("from outside: "+where, func(ctx context.Context, name string) appliance.Finding { return s.inwards(ctx, name, l, at.Port()) }))
			}
		}
	}
	return g
}

// reach connects to a listener from this machine and reads its greeting.
func (s *Subject) reach(ctx context.Context, l *Listener, address string) (*dialogue, error) {
	c, err := s.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if l.implicitTLS() {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // it is our own, whatever its certificate says
	}
	d := newDialogue(ctx, c)
	code, text, err := d.reply()
	if err != nil || code != 220 {
		d.stop()
		d.c.Close()
		return nil, fmt.Errorf("no greeting: %s", saying(code, text, err))
	}
	return d, nil
}

// here is where this machine reaches an address that is listened on.
func here(at netip.AddrPort) netip.AddrPort {
	switch ip := at.Addr(); {
	case ip == netip.IPv6Unspecified(), ip == netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	default:
		return netip.AddrPortFrom(ip.Unmap(), at.Port())
	}
}

// The names of the probe. Nobody has them (RFC 2606, section 2).
const (
	probeFrom   = "probe@doctor.invalid"
	probeTo     = "probe"
	probeDomain = "elsewhere.invalid"
)

// relayTricks are the ways to write a recipient elsewhere that have made relays
// of servers: as it is; with the path hack of sendmail; quoted; in the words of
// UUCP; with a source route (RFC 5321, appendix C). us is a name of the server.
func relayTricks(us string) []string {
	return []string{
		probeTo + "@" + probeDomain,
		probeTo + "%" + probeDomain + "@" + us,
		`"` + probeTo + "@" + probeDomain + `"@` + us,
		`"` + probeTo + "@" + probeDomain + `"`,
		probeDomain + "!" + probeTo + "@" + us,
		"@" + us + ":" + probeTo + "@" + probeDomain,
	}
}

// openRelay talks to a listener as a stranger would, up to RCPT.
func (s *Subject) openRelay(ctx context.Context, name string, l *Listener, at netip.AddrPort) appliance.Finding {
	if s.Healthy == nil {
		return skipped(name, "the server is not running")
	}
	d, err := s.reach(ctx, l, here(at).String())
	if err != nil {
		return warn(name, fmt.Sprintf("%s does not answer on this machine: %v", here(at), plain(err)),
			"see the log of the server: too many connections, or a firewall on this machine")
	}
	defer d.quit()
	if from, trusted := trusts(l, d.c.LocalAddr()); trusted {
		return skipped(name, "%s is in its trusted networks (%s) and may send without logging in: what strangers may do cannot be tried from here", from, prefixes(l.Trusted))
	}
	if code, text, err := d.hello(); err != nil || code != 250 {
		return skipped(name, "it does not talk to this machine: %s", saying(code, text, err))
	}
	return s.tryTricks(d, name, l)
}

// hello says EHLO, and once more inside of TLS where that is offered: a
// listener that wants TLS refuses everything before, which says nothing of what
// it does then.
func (d *dialogue) hello() (code int, text string, err error) {
	const hello = "EHLO doctor.invalid"
	code, text, err = d.ask(hello)
	if err != nil || code != 250 || !d.offers("STARTTLS") {
		return code, text, err
	}
	if answer, _, err := d.ask("STARTTLS"); err != nil || answer != 220 {
		return code, text, err // it offers what it does not have: then without
	}
	d.c = tls.Client(d.c, &tls.Config{InsecureSkipVerify: true}) // it is our own, whatever its certificate says
	d.r.Reset(d.c)
	return d.ask(hello)
}

func (s *Subject) tryTricks(d *dialogue, name string, l *Listener) appliance.Finding {
	var details []string
	for _, to := range relayTricks(s.Settings.Hostname) {
		code, text, err := d.ask("MAIL FROM:<" + probeFrom + ">")
		if err == nil && code == 250 {
			code, text, err = d.ask("RCPT TO:<" + to + ">")
		}
		details = append(details, fmt.Sprintf("<%s>: %s", to, saying(code, text, err)))
		switch {
		case err != nil || code == 421:
			f := ok(name, "strangers are refused; it has closed the connection at try %d of %d", len(details), len(relayTricks("")))
			f.Details = details
			return f
		case code/100 == 2 && !l.claims(to):
			f := fail(name, fmt.Sprintf("a stranger may send to <%s>: this is an open relay, and will be used as one within hours", to),
				"stop the server; give the pipeline auth, and look at the trusted networks of the listener and at its rewrites")
			f.Details = details
			return f
		}
		if _, _, err := d.ask("RSET"); err != nil {
			break
		}
	}
	f := ok(name, "strangers are refused")
	f.Details = details
	return f
}

// claims says whether it is right to take mail for a recipient from anybody.
func (l *Listener) claims(to string) bool {
	m, err := appliance.ParseMailbox(to)
	return err == nil && l.Claims != nil && l.Claims(m)
}

// trusts says whether a listener lets an address send without AUTH.
func trusts(l *Listener, from net.Addr) (netip.Addr, bool) {
	at, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return netip.Addr{}, false
	}
	for _, p := range l.Trusted {
		if p.Contains(at.Addr().Unmap()) {
			return at.Addr().Unmap(), true
		}
	}
	return at.Addr(), false
}

func prefixes(all []netip.Prefix) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

// inwards tries a listener by the public addresses. That this does not work
// from inside proves nothing: many routers do not turn packets round.
func (s *Subject) inwards(ctx context.Context, name string, l *Listener, port uint16) appliance.Finding {
	if why := s.outside(); why != "" {
		return skipped(name, "%s", why)
	}
	if s.Healthy == nil {
		return skipped(name, "the server is not running")
	}
	sources := s.Sources(ctx)
	if len(sources) == 0 {
		return skipped(name, "the public address of this machine is not known")
	}
	var good, bad []string
	for _, src := range sources {
		address := net.JoinHostPort(src.Addr.String(), strconv.Itoa(int(port)))
		d, err := s.reach(ctx, l, address)
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", address, plain(err)))
			continue
		}
		d.quit()
		good = append(good, address)
	}
	if good == nil {
		f := skipped(name, "not known from here: a connection from this machine to its own public address does not come back")
		f.Details = bad
		return f
	}
	f := ok(name, "%s can be reached", strings.Join(good, ", "))
	f.Details = bad
	return f
}
