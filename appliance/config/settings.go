package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// settings decodes and checks the top level of the file.
func (l *loader) settings(body *hclsyntax.Body) {
	top := &hclsyntax.Body{Attributes: body.Attributes, SrcRange: body.SrcRange, EndRange: body.EndRange}
	for _, b := range body.Blocks {
		if l.settingsSchema.block(b.Type) != nil {
			top.Blocks = append(top.Blocks, b)
		}
	}
	l.top = top
	d := l.decoder("", nil)
	d.body(reflect.ValueOf(&l.set).Elem(), top, l.settingsSchema, place{})
	l.hostname(d.failed)
	if l.set.DataDir == "" {
		l.set.DataDir = l.opts.DataDir
	}
	for _, p := range checkSettings(&l.set) {
		l.blameSetting(p)
	}
}

// blameSetting reports a setting that makes no sense, where it is written.
func (l *loader) blameSetting(p appliance.AttrError) {
	where := locate(l.top, strings.Split(p.Attr, "."))
	l.errorf(place{span: where}, "invalid "+p.Attr, "%s", p.Msg)
}

// hostname fills in the name of the machine and checks the name.
func (l *loader) hostname(failed bool) {
	attr, written := l.top.Attributes["hostname"]
	var at place
	if written {
		at.span = spanOf(attr.Expr.Range())
	}
	if !written {
		name, err := l.opts.Hostname()
		if err != nil {
			l.errorf(at, "missing hostname", "The name of this machine cannot be found out (%v). Write hostname = \"mail.example.com\".", err)
			return
		}
		l.set.Hostname = name
	} else if failed && l.set.Hostname == "" {
		return // said already
	}
	name, err := appliance.ParseDomain(l.set.Hostname)
	switch {
	case err != nil:
		l.errorf(at, "invalid hostname", "%q is not a host name: %v. Write hostname = \"mail.example.com\".", l.set.Hostname, err)
	case !strings.Contains(name, "."):
		l.warnf(at, "the host name has no domain", "Other servers will not trust %q. Write the name that DNS has for this server: hostname = \"mail.example.com\".", name)
	}
	if err == nil {
		l.set.Hostname = name
	}
}

// checkSettings returns what makes no sense in the settings, in the order of
// their fields.
func checkSettings(s *appliance.Settings) []appliance.AttrError {
	var all []appliance.AttrError
	report := func(attr, msg string, args ...any) {
		all = append(all, appliance.AttrError{Attr: attr, Msg: fmt.Sprintf(msg, args...)})
	}
	oneOf := func(attr, got string, words ...string) {
		if slices.Contains(words, got) {
			return
		}
		words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, fmt.Sprintf("%q", w))
		}
		report(attr, "%q is not one of %s.%s", got, list(quoted), didYouMean(got, words))
	}
	oneOf("mode", s.Mode, appliance.ModeLive, appliance.ModeCapture)
	if _, err := s.Resolver.Parse(); err != nil {
		report("resolver", "%v.", err)
	}
	oneOf("log.level", s.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", s.Log.Format, "", "json", "console")
	for _, what := range s.Log.Redact {
		oneOf("log.redact", what, "address")
	}
	checkAddress(report, "metrics.address", s.Metrics.Address)
	checkAdmin(report, &s.Admin)
	checkLimits(report, &s.Limits)
	checkLogins(report, &s.Logins)
	checkQueue(report, &s.Queue)
	checkDeliverability(report, &s.Deliverability)
	return all
}

type reporter func(attr, msg string, args ...any)

func checkAddress(report reporter, attr, address string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			report(attr, "The path is missing: write \"unix:/run/waxwing/socket\".")
		}
		return
	}
	if address == "" {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		report(attr, "%q is not an address to listen on. Write \"127.0.0.1:9090\" or \"unix:/path\".", address)
		return
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		report(attr, "%q is not a port: write a number from 1 to 65535.", port)
	}
}

// minToken is the shortest token accepted, in octets: 16 random ones cannot be
// guessed, however they are written down.
const minToken = 16

// checkAdmin sees to it that nobody gives orders who was not given the means:
// a unix socket belongs to the user of the server, a TCP address needs a token.
func checkAdmin(report reporter, a *appliance.AdminSettings) {
	checkAddress(report, "admin.address", a.Address)
	path, unix := strings.CutPrefix(a.Address, "unix:")
	switch n := len(a.Token.Reveal()); {
	case unix && path != "" && !filepath.IsAbs(path):
		report("admin.address", "%q depends on where the server was started: write the whole path, as in \"unix:/run/waxwing/admin.sock\".", a.Address)
	case unix, a.Address == "":
	case n == 0:
		report("admin.address", "Everybody who reaches %s could change the queue: write a token as well, token = env(\"ADMIN_TOKEN\"), or use \"unix:/path\".", a.Address)
	case n < minToken:
		report("admin.token", "It has %d characters and could be guessed: use at least %d, such as the output of \"openssl rand -hex 16\".", n, minToken)
	}
}

// The smallest limits that leave a working mail server.
const (
	minMessageSize = 64 << 10 // RFC 5321, section 4.5.3.1.7: 64K octets, header included
	minHeaderSize  = 16 << 10
)

func checkLimits(report reporter, l *appliance.Limits) {
	if l.MaxMessageSize < minMessageSize {
		report("limits.max_message_size", "It is %s and must be at least 64KiB (RFC 5321, section 4.5.3.1.7).", l.MaxMessageSize)
	}
	if l.MaxHeader < minHeaderSize {
		report("limits.max_header", "It is %s and must be at least 16KiB.", l.MaxHeader)
	}
	if l.MaxMemory != 0 && l.MaxMemory < l.MinMemory() {
		report("limits.max_memory", "It is %s and must be at least %s, 16 times max_header, or such a header could never be taken.",
			l.MaxMemory, l.MinMemory())
	}
	if l.CheckTimeout < time.Second {
		report("limits.check_timeout", "It is %s and must be at least 1s.", appliance.FormatDuration(l.CheckTimeout))
	}
	for _, n := range []struct {
		attr string
		n    int
	}{
		{"max_recipients", l.MaxRecipients}, {"max_hops", l.MaxHops},
		{"max_connections", l.MaxConnections}, {"max_connections_per_ip", l.MaxConnectionsPerIP},
		{"max_connections_per_user", l.MaxConnectionsPerUser},
	} {
		atLeastOne(report, "limits."+n.attr, n.n)
	}
}

func checkLogins(report reporter, l *appliance.LoginSettings) {
	if e, ok := errors.AsType[*appliance.AttrError](l.Check()); ok {
		report("logins."+e.Attr, "%s.", e.Msg)
	}
}

func checkDeliverability(report reporter, d *appliance.DeliverabilitySettings) {
	if e, ok := errors.AsType[*appliance.AttrError](d.Check()); ok {
		report("deliverability."+e.Attr, "%s.", e.Msg)
	}
}

func checkQueue(report reporter, q *appliance.QueueSettings) {
	if q.Lifetime <= 0 {
		report("queue.lifetime", "It must be more than 0, or nothing would be tried twice: write \"5d\".")
	}
	if q.Lifetime > 0 && q.WarnAfter >= q.Lifetime {
		report("queue.warn_after", "It is %s, and a message is given up after %s. Write a shorter time, or \"0\" for never.",
			appliance.FormatDuration(q.WarnAfter), appliance.FormatDuration(q.Lifetime))
	}
	atLeastOne(report, "queue.concurrency", q.Concurrency)
	atLeastOne(report, "queue.destination_concurrency", q.DestinationConcurrency)
}

func atLeastOne(report reporter, attr string, n int) {
	if n < 1 {
		report(attr, "It is %d and must be at least 1.", n)
	}
}
