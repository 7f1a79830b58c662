package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// wayOut is about where mail leaves by.
func (s *Subject) wayOut() Group {
	g := Group{Name: "the way out"}
	add := func(name string, f func(context.Context, string) appliance.Finding) {
		g.Examinations = append(g.Examinations, one(name, f))
	}
	add("public addresses", s.publicAddresses)
	if len(s.direct()) > 0 {
		add("port 25 outwards", s.port25)
	}
	for _, via := range s.smarthosts() {
		add("smarthost "+via, func(ctx context.Context, name string) appliance.Finding { return s.smarthost(ctx, name, via) })
	}
	return g
}

// smarthosts are those that mail goes to, each once.
func (s *Subject) smarthosts() (all []string) {
	for _, r := range s.Relays {
		for _, server := range r.Servers {
			if !slices.Contains(all, server) {
				all = append(all, server)
			}
		}
	}
	return all
}

// outside says why nobody outside is asked, or "".
func (s *Subject) outside() string {
	switch {
	case s.Offline:
		return "nobody is asked: --offline"
	case s.captures():
		return `nobody is asked: mode = "capture"`
	}
	return ""
}

// port25 tries the servers of some large receivers: what keeps a machine from
// all of them is its provider.
func (s *Subject) port25(ctx context.Context, name string) appliance.Finding {
	if why := s.outside(); why != "" {
		return skipped(name, "%s", why)
	}
	details := make([]string, len(s.Receivers))
	reached := make([]bool, len(s.Receivers))
	asked := make([]bool, len(s.Receivers))
	var all sync.WaitGroup
	for i, domain := range s.Receivers {
		all.Go(func() { details[i], asked[i], reached[i] = s.receiver(ctx, domain) })
	}
	all.Wait()
	var f appliance.Finding
	switch good, tried := count(reached), count(asked); {
	case tried == 0:
		f = skipped(name, "no server could be found to try: the look-ups of %s failed", strings.Join(s.Receivers, ", "))
	case good == 0:
		f = fail(name, "no mail server can be reached on port 25: most likely the provider of this machine blocks it, as many do",
			`ask the provider to open port 25 outwards, and look at the firewall here; or hand mail to a relay "smarthost" on port 587`)
	case good < tried:
		f = ok(name, "open; %d of %d servers did not answer", tried-good, tried)
	default:
		f = ok(name, "open")
	}
	f.Details = details
	return f
}

func count(all []bool) (n int) {
	for _, yes := range all {
		if yes {
			n++
		}
	}
	return n
}

// receiver tries the first mail exchanger of a domain. asked is false if it
// cannot be found.
func (s *Subject) receiver(ctx context.Context, domain string) (text string, asked, reached bool) {
	looking, cancel := lookupContext(ctx)
	defer cancel()
	mx, err := s.Resolver.LookupMX(looking, absolute(domain))
	if err != nil || len(mx) == 0 {
		return fmt.Sprintf("%s: its mail servers are not known: %v", domain, err), false, false
	}
	host := strings.TrimSuffix(mx[0].Host, ".")
	if _, err := s.addresses(ctx, host); err != nil {
		return fmt.Sprintf("%s: %v", host, err), false, false
	}
	c, err := s.dialHost(ctx, "tcp", host, 25)
	if err != nil {
		return fmt.Sprintf("%s, port 25: %v", host, plain(err)), true, false
	}
	d := newDialogue(ctx, c)
	defer d.quit()
	code, greeting, err := d.reply()
	switch {
	case err != nil:
		return fmt.Sprintf("%s, port 25: connected, and no greeting comes: %v", host, plain(err)), true, false
	case code != 220:
		return fmt.Sprintf("%s does not like this address: %d %s", host, code, greeting), true, true
	}
	return fmt.Sprintf("%s: 220 %s", host, greeting), true, true
}

// smarthost connects as a relay would, up to the log-in.
func (s *Subject) smarthost(ctx context.Context, name, via string) appliance.Finding {
	if why := s.outside(); why != "" {
		return skipped(name, "%s", why)
	}
	host, text, err := net.SplitHostPort(via)
	port, bad := strconv.ParseUint(text, 10, 16)
	if err != nil || bad != nil {
		return skipped(name, "%q has no port", via)
	}
	c, err := s.dialHost(ctx, "tcp", host, uint16(port))
	if err != nil {
		return fail(name, fmt.Sprintf("port %d of %s cannot be reached: %v", port, host, plain(err)),
			"look at the address and the port in the relay, and whether a firewall, here or at the provider of this machine, is in between")
	}
	if port == 465 {
		c = tls.Client(c, &tls.Config{ServerName: host, InsecureSkipVerify: true}) // whether it is who it says is for the relay to see
	}
	d := newDialogue(ctx, c)
	defer d.quit()
	if code, text, err := d.reply(); err != nil || code != 220 {
		return fail(name, fmt.Sprintf("port %d of %s does not greet: %s", port, host, saying(code, text, err)),
			"ask who runs the smarthost whether it takes mail from this address")
	}
	code, text, err := d.ask("EHLO " + s.Settings.Hostname)
	if err != nil || code != 250 {
		return fail(name, fmt.Sprintf("%s refuses EHLO %s: %s", host, s.Settings.Hostname, saying(code, text, err)),
			"set hostname to the name of this server, as the DNS has it")
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return ok(name, "port %d of this machine answers", port)
	}
	if port != 465 && !d.offers("STARTTLS") {
		return warn(name, fmt.Sprintf("port %d of %s answers and does not offer STARTTLS: mail and passwords would go in plain text", port, host),
			"use a port with TLS, such as 587 or 465")
	}
	return ok(name, "port %d of %s answers and offers TLS", port, host)
}

func saying(code int, text string, err error) string {
	if err != nil {
		return plain(err).Error()
	}
	return fmt.Sprintf("%d %s", code, text)
}

// A dialogue is SMTP as far as looking needs it. Each line has its time, and
// what the other side says is bounded.
type dialogue struct {
	ctx   context.Context
	stop  func() bool
	c     net.Conn
	r     *bufio.Reader
	lines []string // of the last reply
}

// Limits of a dialogue.
const (
	lineTime     = 8 * time.Second
	maxReplyLine = 1024 // octets
	maxReply     = 64   // lines
	maxSaid      = 200  // octets that are shown
)

// newDialogue begins a dialogue on a connection. It ends with ctx.
func newDialogue(ctx context.Context, c net.Conn) *dialogue {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // what waits, fails
	return &dialogue{ctx: ctx, stop: stop, c: c, r: bufio.NewReaderSize(c, maxReplyLine)}
}

// hurry gives the next step its time.
func (d *dialogue) hurry() error {
	_ = d.c.SetDeadline(time.Now().Add(lineTime)) // one that is closed says so when it is read
	return d.ctx.Err()                            // which may have ended before
}

var errNoSMTP = errors.New("what it says is not SMTP")

// reply reads a reply (RFC 5321, section 4.2.1). text is its last line.
func (d *dialogue) reply() (code int, text string, err error) {
	d.lines = nil
	for range maxReply {
		if err := d.hurry(); err != nil {
			return 0, "", err
		}
		line, err := d.r.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		said := strings.TrimRight(string(line), "\r\n")
		if len(said) < 3 {
			return 0, "", errNoSMTP
		}
		if code, err = strconv.Atoi(said[:3]); err != nil || code < 200 || code > 599 {
			return 0, "", errNoSMTP
		}
		rest := said[3:]
		text = strings.ToValidUTF8(strings.TrimSpace(strings.TrimPrefix(rest, "-")), "?")
		d.lines = append(d.lines, text)
		if !strings.HasPrefix(rest, "-") {
			return code, text[:min(len(text), maxSaid)], nil
		}
	}
	return 0, "", errNoSMTP
}

func (d *dialogue) ask(line string) (code int, text string, err error) {
	if err := d.hurry(); err != nil {
		return 0, "", err
	}
	if _, err := d.c.Write([]byte(line + "\r\n")); err != nil {
		return 0, "", err
	}
	return d.reply()
}

// offers says whether the last reply, which is that to EHLO, has an extension.
func (d *dialogue) offers(keyword string) bool {
	for _, l := range d.lines {
		if word, _, _ := strings.Cut(l, " "); strings.EqualFold(word, keyword) {
			return true
		}
	}
	return false
}

// quit leaves in good order and does not wait for long.
func (d *dialogue) quit() {
	d.stop()
	if d.c.SetDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = d.c.Write([]byte("QUIT\r\n")) // leaving anyway
		_, _ = d.r.ReadSlice('\n')
	}
	d.c.Close()
}
