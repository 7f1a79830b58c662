package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// machine is what has to be right here.
func (s *Subject) machine() Group {
	return Group{Name: "this machine", Examinations: []appliance.Examination{
		one("server", s.server),
		one("disk", s.disk),
		one("file descriptors", s.descriptors),
		one("clock", s.clock),
		{Name: "resolver", Run: s.resolver},
	}}
}

func (s *Subject) server(_ context.Context, name string) appliance.Finding {
	if s.Healthy == nil {
		return skipped(name, "it is not running")
	}
	if err := s.Healthy(); err != nil {
		return fail(name, "it cannot do all of its work: "+strings.ReplaceAll(err.Error(), "\n", "; "),
			"see to what is named; the log has more, and \"waxwing health\" says when it is over")
	}
	return ok(name, "it accepts, signs and stores mail")
}

func (s *Subject) disk(_ context.Context, name string) appliance.Finding {
	dir := s.Settings.DataDir
	free, err := s.Free(dir)
	if err != nil {
		return skipped(name, "the free space of %s is not known: %v", dir, err)
	}
	least := uint64(s.Settings.Limits.MinFreeDisk)
	text := fmt.Sprintf("%s has %s free", dir, inUnits(free))
	switch {
	case free < least:
		return fail(name, fmt.Sprintf("%s, and limits.min_free_disk is %s: mail is refused with 452", text, s.Settings.Limits.MinFreeDisk),
			"make room on this disk, or put data_dir on a larger one")
	case free < 2*least:
		return warn(name, fmt.Sprintf("%s; below %s (limits.min_free_disk) mail is refused", text, s.Settings.Limits.MinFreeDisk),
			"make room on this disk")
	}
	return ok(name, "%s", text)
}

// inUnits is a number of octets for people.
func inUnits(n uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d octets", n)
}

// reservedFiles is what a server opens besides connections of clients: its
// store, its log, deliveries, questions to the DNS.
const reservedFiles = 256

func (s *Subject) descriptors(_ context.Context, name string) appliance.Finding {
	limit, err := s.Descriptors()
	if err != nil {
		return skipped(name, "the limit of open files is not known: %v", err)
	}
	clients := max(len(s.Listeners), 1) * s.Settings.Limits.MaxConnections
	want := uint64(clients + s.Settings.Queue.Concurrency + reservedFiles)
	if limit < want {
		return warn(name, fmt.Sprintf("this process may open %d files, and %d are needed when limits.max_connections and queue.concurrency are used in full: "+
			"clients would be refused earlier", limit, want),
			fmt.Sprintf("raise the limit (LimitNOFILE=%d in a systemd unit, --ulimit nofile=%d for a container), or lower limits.max_connections", roundUp(want), roundUp(want)))
	}
	return ok(name, "%d may be open, at most %d are needed", limit, want)
}

// roundUp is a number as people write it.
func roundUp(n uint64) uint64 {
	p := uint64(1024)
	for p < n {
		p *= 2
	}
	return p
}

// maxClock is how wrong a clock may be: signatures and log lines are dated by
// it, and receivers are suspicious of mail from the future.
const maxClock = 2 * time.Minute

func (s *Subject) clock(ctx context.Context, name string) appliance.Finding {
	o := s.seen(ctx)
	if o.timed == "" {
		if len(s.Settings.Deliverability.Echo) > 0 {
			return skipped(name, "no server of deliverability.echo has told the time")
		}
		return skipped(name, "nobody has told the time: it is compared with that of the servers of deliverability.echo")
	}
	if off := o.clock.Round(time.Second); off.Abs() > maxClock {
		way := "ahead of"
		if off < 0 {
			way = "behind"
		}
		return fail(name, fmt.Sprintf("it is %s %s that of %s: signatures are dated by it, and receivers refuse what comes from the future or is too old",
			appliance.FormatDuration(off.Abs()), way, o.timed), "have the clock set by NTP: chrony, or systemd-timesyncd")
	}
	return ok(name, "it agrees with %s", o.timed)
}

// openResolvers are resolvers that everybody may use. Blocklists answer none of
// them, or tell them lies.
var openResolvers = []netip.Addr{
	netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("1.0.0.1"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("8.8.4.4"),
	netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("149.112.112.112"), netip.MustParseAddr("208.67.222.222"), netip.MustParseAddr("208.67.220.220"),
	netip.MustParseAddr("2606:4700:4700::1111"), netip.MustParseAddr("2606:4700:4700::1001"), netip.MustParseAddr("2001:4860:4860::8888"),
	netip.MustParseAddr("2001:4860:4860::8844"), netip.MustParseAddr("2620:fe::fe"),
}

// resolver looks at the DNS servers that are asked.
func (s *Subject) resolver(ctx context.Context) []appliance.Finding {
	const name = "resolver"
	if s.Offline {
		return []appliance.Finding{skipped(name, "nobody is asked: --offline")}
	}
	q, isQuerier := s.Resolver.(appliance.Querier)
	if !isQuerier {
		return []appliance.Finding{skipped(name, "it cannot be asked about itself")}
	}
	asking, cancel := lookupContext(ctx)
	defer cancel()
	if _, err := q.Query(asking, appliance.QueryNS, "arpa"); err != nil && !isNotFound(err) {
		fix := "see to the DNS servers of /etc/resolv.conf, or name others with the setting resolver; without them no mail goes out"
		if len(s.Settings.Resolver) > 0 {
			fix = "see to that DNS server, or name another with the setting resolver; without one no mail goes out"
		}
		return []appliance.Finding{fail(name, fmt.Sprintf("no answer comes%s: %v", s.serverNames(), err), fix)}
	}
	all := []appliance.Finding{ok(name, "answers come%s", s.serverNames()), dnssec(q, s.Settings.DNSSEC)}
	return append(all, append(s.overTCP(ctx), s.shared()...)...)
}

func (s *Subject) serverNames() string {
	var all []string
	for _, a := range s.Servers {
		text := a.Addr().String()
		if a.Port() != 53 {
			text = a.String()
		}
		all = append(all, text)
	}
	if all == nil {
		return ""
	}
	return " from " + strings.Join(all, ", ")
}

func dnssec(q appliance.Querier, wanted bool) appliance.Finding {
	const name = "DNSSEC"
	err := q.DNSSEC()
	switch {
	case err == nil:
		return ok(name, "answers are validated: relays can use DANE")
	case wanted:
		return warn(name, "dnssec = true, and answers are not validated: "+err.Error(),
			"let the resolver setting name a server that validates, such as unbound on this machine, or write dnssec = false")
	}
	return skipped(name, "not relied upon (dnssec = false), so that there is no DANE; with a validating resolver on this machine write dnssec = true")
}

// overTCP tries the servers by TCP, which large answers need: those with DKIM
// keys, and those that are signed (RFC 7766, section 5).
func (s *Subject) overTCP(ctx context.Context) []appliance.Finding {
	const name = "DNS over TCP"
	if len(s.Servers) == 0 {
		return nil
	}
	var bad []string
	for _, a := range s.Servers {
		c, err := s.dial(ctx, "tcp", a.String())
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", a, plain(err)))
			continue
		}
		c.Close()
	}
	if bad == nil {
		return []appliance.Finding{ok(name, "works")}
	}
	return []appliance.Finding{warn(name, "large answers, such as those with DKIM keys, get lost: "+strings.Join(bad, "; "),
		"allow TCP to port 53 of the DNS servers, as RFC 7766 wants it")}
}

// shared says what resolvers of others do to blocklists.
func (s *Subject) shared() []appliance.Finding {
	var all []string
	for _, a := range s.Servers {
		if slices.Contains(openResolvers, a.Addr()) {
			all = append(all, a.Addr().String())
		}
	}
	if all == nil {
		return nil
	}
	return []appliance.Finding{warn("public resolver", strings.Join(all, ", ")+": millions use it, so that blocklists refuse to answer it, "+
		"and it validates for nobody on the way here", "run a resolver of your own, such as unbound on this machine: resolver = \"127.0.0.1\"")}
}

// plain is an error without the address that its reader has before the eyes.
func plain(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}
