package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// namesAndAddresses is about what receivers see first: an address, its name,
// and the name that the server gives itself.
func (s *Subject) namesAndAddresses() Group {
	return Group{Name: "names and addresses", Examinations: []appliance.Examination{
		{Name: "host name", Run: func(ctx context.Context) []appliance.Finding {
			return about(s.Settings.Hostname, "a", []appliance.Finding{s.hostName(ctx, "host name")})
		}},
		{Name: "PTR", Run: s.reverse},
		{Name: "records of this server", Run: s.ownRecords},
	}}
}

// ownRecords looks at what else stands at the host name, unless mail is sent
// from it, too.
func (s *Subject) ownRecords(ctx context.Context) []appliance.Finding {
	if s.outside() != "" || slices.Contains(s.Domains, s.Settings.Hostname) {
		return nil
	}
	return s.wanted(ctx, s.Settings.Hostname, func(records.Kind) bool { return true })
}

// hostName looks at the name of EHLO. RFC 5321, section 2.3.5: "Only
// resolvable, fully-qualified domain names (FQDNs) are permitted".
func (s *Subject) hostName(ctx context.Context, name string) appliance.Finding {
	host := s.Settings.Hostname
	if !strings.Contains(host, ".") || strings.HasSuffix(host, ".localdomain") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal") {
		return fail(name, fmt.Sprintf("hostname is %q, which is no name in the public DNS: receivers refuse who calls himself that", host),
			`set hostname to the full name of this server, such as "mail.example.com"`)
	}
	if why := s.outside(); why != "" {
		return skipped(name, "%s", why)
	}
	all, err := s.published(ctx, host)
	switch {
	case isNotFound(err):
		return fail(name, fmt.Sprintf("%s, which this server calls itself, has no A and no AAAA record", host), "publish "+s.hostRecords(ctx))
	case err != nil:
		return unknown(name, err)
	}
	var missing []string
	for _, src := range s.Sources(ctx) {
		if src.Name == host && !slices.Contains(all, src.Addr) {
			missing = append(missing, src.Addr.String())
		}
	}
	if missing != nil && !s.onlyThroughOthers() {
		return warn(name, fmt.Sprintf("%s has the addresses %s, and mail leaves from %s", host, join(all), strings.Join(missing, ", ")),
			"publish "+s.hostRecords(ctx))
	}
	return ok(name, "%s has the address %s", host, join(all))
}

// hostRecords are the records that the host name needs.
func (s *Subject) hostRecords(ctx context.Context) string {
	var all []string
	for _, src := range s.Sources(ctx) {
		if src.Name == s.Settings.Hostname {
			all = append(all, addressRecord(s.Settings.Hostname, src.Addr))
		}
	}
	if all == nil {
		return fmt.Sprintf("an A record for %s with the public address of this machine", s.Settings.Hostname)
	}
	return strings.Join(all, ", ")
}

func addressRecord(host string, ip netip.Addr) string {
	if ip.Is4() {
		return fmt.Sprintf("%s. A %s", host, ip)
	}
	return fmt.Sprintf("%s. AAAA %s", host, ip)
}

func join(all []netip.Addr) string {
	texts := make([]string, len(all))
	for i, ip := range all {
		texts[i] = ip.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// reverse looks at the name of each address that mail leaves from.
func (s *Subject) reverse(ctx context.Context) []appliance.Finding {
	const name = "PTR"
	if why := s.outside(); why != "" {
		return []appliance.Finding{skipped(name, "%s", why)}
	}
	if s.onlyThroughOthers() {
		return []appliance.Finding{skipped(name, "all mail goes to a smarthost: receivers see its address")}
	}
	sources := s.Sources(ctx)
	if len(sources) == 0 {
		return []appliance.Finding{skipped(name, "the public address of this machine is not known")}
	}
	return each(sources, func(src Source) []appliance.Finding {
		ip := src.Addr.String()
		return about(ip, "ptr", []appliance.Finding{s.reverseOf(ctx, "PTR of "+ip, src)})
	})
}

// maxNames is how many names of an address are asked for: as many as receivers
// look at (RFC 7208, section 5.5). Who has the reverse zone can write thousands.
const maxNames = 10

// reverseOf wants that the name of an address has that address, and is the one
// that the server gives itself. Gmail and others refuse mail from addresses
// without such a name.
func (s *Subject) reverseOf(ctx context.Context, name string, src Source) appliance.Finding {
	looking, cancel := lookupContext(ctx)
	defer cancel()
	found, err := s.Resolver.LookupAddr(looking, src.Addr.String())
	fix := fmt.Sprintf("ask the provider of the address to let %s (%s) be %s", src.Addr, records.ReverseName(src.Addr), src.Name)
	switch {
	case isNotFound(err) || err == nil && len(found) == 0:
		return fail(name, fmt.Sprintf("%s has no PTR record: many receivers refuse its mail", src.Addr), fix)
	case err != nil:
		return unknown(name, err)
	}
	var confirmed []string
	for _, n := range found[:min(len(found), maxNames)] {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		back, err := s.published(ctx, n)
		if err != nil && !isNotFound(err) {
			return unknown(name, err)
		}
		if slices.Contains(back, src.Addr) {
			confirmed = append(confirmed, n)
		}
	}
	shown := strings.TrimSuffix(found[0], ".")
	switch {
	case confirmed == nil:
		if own, err := s.published(ctx, src.Name); err != nil || !slices.Contains(own, src.Addr) {
			fix += ", and publish " + addressRecord(src.Name, src.Addr)
		}
		return fail(name, fmt.Sprintf("%s is called %s, and %s does not have the address %s: receivers take the name for a lie", src.Addr, shown, shown, src.Addr), fix)
	case !slices.Contains(confirmed, strings.ToLower(src.Name)):
		return warn(name, fmt.Sprintf("%s is called %s, and this server calls itself %s: some receivers distrust that", src.Addr, confirmed[0], src.Name),
			fix+fmt.Sprintf("; or set hostname to %s", confirmed[0]))
	}
	f := ok(name, "%s, which has this address, and is what this server calls itself", strings.ToLower(src.Name))
	if len(found) > 1 {
		f.Details = []string{fmt.Sprintf("there are %d names: one is enough, and some receivers look at the first only", len(found))}
	}
	return f
}
