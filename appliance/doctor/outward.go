package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// A Source is an address that mail leaves from, as the world sees it.
type Source struct {
	Addr netip.Addr
	From string // how that is known: "deliverability.addresses"
	Name string // what it calls itself (EHLO)
}

// outward is what is known of the addresses of this machine.
type outward struct {
	sources []Source
	echoed  []Source      // what echo servers have seen
	private []netip.Addr  // what the machine has besides
	clock   time.Duration // how much further than that of an echo server ours is
	timed   string        // the echo server that has told the time
	errs    []string      // of echo servers
}

// Sources are the addresses that mail leaves from: those of
// deliverability.addresses; without it the source addresses of the relays, the
// public ones of this machine, and what the echo servers see. They are found
// once for a Subject.
func (s *Subject) Sources(ctx context.Context) []Source { return s.seen(ctx).sources }

func (s *Subject) seen(ctx context.Context) *outward {
	s.once.Do(func() {
		o := &s.outward
		if !s.Offline && !s.captures() {
			s.askEcho(ctx, o)
		}
		for _, ip := range s.Settings.Deliverability.Addresses {
			o.add(ip, "deliverability.addresses")
		}
		if len(o.sources) == 0 {
			s.gather(o)
		}
		for i := range o.sources {
			o.sources[i].Name = s.nameOf(o.sources[i].Addr)
		}
	})
	return &s.outward
}

// gather finds the addresses that nobody has written down.
func (s *Subject) gather(o *outward) {
	chosen := false
	for _, r := range s.direct() {
		for _, ip := range r.Addresses {
			chosen = true
			if records.Public(ip) {
				o.add(ip, "the source addresses of "+r.Addr)
			}
		}
	}
	local, err := s.Local()
	if err != nil {
		o.errs = append(o.errs, "the addresses of this machine cannot be listed: "+err.Error())
	}
	for _, ip := range local {
		switch {
		case !records.Public(ip):
			o.private = append(o.private, ip)
		case !chosen && s.uses(ip):
			o.add(ip, "an address of this machine")
		}
	}
	for _, e := range o.echoed {
		if s.uses(e.Addr) && (!chosen || len(o.sources) == 0) {
			o.add(e.Addr, e.From)
		}
	}
}

func (o *outward) add(ip netip.Addr, from string) {
	ip = ip.Unmap()
	if !slices.ContainsFunc(o.sources, func(s Source) bool { return s.Addr == ip }) {
		o.sources = append(o.sources, Source{Addr: ip, From: from})
	}
}

// nameOf is what a source address calls itself.
func (s *Subject) nameOf(ip netip.Addr) string {
	for _, r := range s.direct() {
		if i := slices.Index(r.Addresses, ip); i >= 0 && i < len(r.Names) && r.Names[i] != "" {
			return r.Names[i]
		}
	}
	return s.Settings.Hostname
}

// uses says whether mail can leave from an address of this machine: relays may
// be told to use one family alone.
func (s *Subject) uses(ip netip.Addr) bool {
	family := "ip6"
	if ip.Unmap().Is4() {
		family = "ip4"
	}
	return len(s.Relays) == 0 || slices.ContainsFunc(s.direct(), func(r Relay) bool {
		return len(r.Families) == 0 || slices.Contains(r.Families, family)
	})
}

// publicAddresses is the examination of the addresses.
func (s *Subject) publicAddresses(ctx context.Context, name string) appliance.Finding {
	o := s.seen(ctx)
	details := slices.Clone(o.errs)
	var texts []string
	for _, src := range o.sources {
		texts = append(texts, src.Addr.String())
		details = append(details, src.Addr.String()+": "+src.From)
	}
	f := ok(name, "mail leaves from %s", strings.Join(texts, ", "))
	switch unexpected := s.unexpected(o); {
	case s.onlyThroughOthers():
		f = skipped(name, "all mail goes to a smarthost: what counts are its addresses")
	case s.captures():
		f = skipped(name, `mode = "capture": no mail leaves`)
	case len(texts) == 0 && s.Offline:
		f = skipped(name, "not known: this machine has no public address of its own%s", listed(o.private))
	case len(texts) == 0:
		f = warn(name, "not known: this machine has no public address of its own"+listed(o.private)+
			"; SPF, PTR records and blocklists cannot be looked at", outwardFix(o))
	case len(unexpected) > 0:
		f = warn(name, fmt.Sprintf("%s sees this machine as %s, and deliverability.addresses has %s",
			unexpected[0].From, unexpected[0].Addr, strings.Join(texts, ", ")),
			fmt.Sprintf("write %q into deliverability.addresses if mail leaves from there, and leave out what is not used any more", unexpected[0].Addr))
	}
	f.Details = details
	return f
}

func outwardFix(o *outward) string {
	if len(o.errs) > 0 {
		return `write the public addresses into the configuration: deliverability { addresses = ["203.0.113.5"] }`
	}
	return `write the public addresses into the configuration: deliverability { addresses = ["203.0.113.5"] }, ` +
		`or a server that tells them: deliverability { echo = ["https://api.ipify.org"] }`
}

func listed(private []netip.Addr) string {
	var all []string
	for _, ip := range private {
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			all = append(all, ip.String())
		}
	}
	if all == nil {
		return ""
	}
	return " (it has " + strings.Join(all, ", ") + ")"
}

// unexpected are the addresses that echo servers see and nobody has named.
func (s *Subject) unexpected(o *outward) []Source {
	return slices.DeleteFunc(slices.Clone(o.echoed), func(e Source) bool {
		return !s.uses(e.Addr) || slices.ContainsFunc(o.sources, func(s Source) bool { return s.Addr == e.Addr })
	})
}

// onlyThroughOthers says whether others bring the mail to its recipients.
func (s *Subject) onlyThroughOthers() bool { return len(s.Relays) > 0 && len(s.direct()) == 0 }

// Limits of an echo server.
const (
	echoTime = 6 * time.Second
	maxEcho  = 256 // octets of its answer
)

// askEcho asks each echo server once by IPv4 and once by IPv6. One that cannot
// be reached by one of them says nothing.
func (s *Subject) askEcho(ctx context.Context, o *outward) {
	for _, address := range s.Settings.Deliverability.Echo {
		reached := false
		var last error
		for _, network := range []string{"tcp4", "tcp6"} {
			ip, date, err := s.echo(ctx, network, address)
			if err != nil {
				if last == nil || isNotFound(last) { // what it has said is worth more than that it has no address
					last = err
				}
				continue
			}
			reached = true
			if !slices.ContainsFunc(o.echoed, func(e Source) bool { return e.Addr == ip }) {
				o.echoed = append(o.echoed, Source{Addr: ip, From: address})
			}
			if o.timed == "" && !date.IsZero() {
				o.timed, o.clock = address, s.Now().Sub(date)
			}
		}
		if !reached {
			o.errs = append(o.errs, fmt.Sprintf("%s does not tell the address: %v", address, last))
		}
	}
}

// echo asks one echo server.
func (s *Subject) echo(ctx context.Context, network, address string) (ip netip.Addr, date time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, echoTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return ip, date, err
	}
	resp, err := s.client(network).Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // whose text does not repeat the address
		}
		return ip, date, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxEcho))
	if err != nil {
		return ip, date, err
	}
	if resp.StatusCode != http.StatusOK {
		return ip, date, fmt.Errorf("it answers %s", resp.Status)
	}
	if ip, err = netip.ParseAddr(string(bytes.TrimSpace(b))); err != nil || !records.Public(ip) {
		return ip, date, fmt.Errorf("it answers %.60q, which is no public address", b)
	}
	date, err = http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		date = time.Time{} // it tells no time
	}
	return ip.Unmap(), date, nil
}

// client is for requests over one family of addresses.
func (s *Subject) client(network string) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: s.Roots},
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				host, text, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				port, err := strconv.ParseUint(text, 10, 16)
				if err != nil {
					return nil, err
				}
				return s.dialHost(ctx, network, host, uint16(port))
			},
		},
	}
}
