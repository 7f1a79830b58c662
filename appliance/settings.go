package appliance

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Settings is the top level of the configuration file, apart from its modules
// and pipelines. [DefaultSettings] gives the defaults.
type Settings struct {
	// The name of this server: EHLO name, certificate name and PTR record
	// should all be it. Default: the host name of the machine.
	Hostname string `hcl:"hostname,optional"`
	// The directory of queue, keys and certificates: the one to keep. Default:
	// $WAXWING_DATA_DIR, which is /data in the container image; else
	// /var/lib/waxwing for root, and $XDG_DATA_HOME/waxwing or
	// ~/.local/share/waxwing for others.
	DataDir string `hcl:"data_dir,optional"`
	// "live", or "capture": nothing leaves, everything is kept for viewing.
	Mode string `hcl:"mode,optional"`
	// The DNS server to ask, as "10.0.0.53" or "127.0.0.1:5353", or a list of at
	// most 8: ["10.0.0.53", "10.0.1.53"]. They are asked in turn until one
	// answers, which is asked first from then on. Default: those the system is
	// set up for.
	Resolver DNSServers `hcl:"resolver,optional"`
	// Whether the DNS servers are believed when they say that DNSSEC vouches
	// for an answer. Write true if each of them validates and nobody can change
	// anything on the way to it, as with unbound on this machine; without it
	// there is no DANE. Default false.
	DNSSEC bool `hcl:"dnssec,optional"`

	// What is logged, and in which form.
	Log LogSettings `hcl:"log,block"`
	// Where the server is watched.
	Metrics MetricsSettings `hcl:"metrics,block"`
	// Where the server takes orders.
	Admin AdminSettings `hcl:"admin,block"`
	// What one message, client or server may cost.
	Limits Limits `hcl:"limits,block"`
	// How often passwords may be guessed, and who is banned for it.
	Logins LoginSettings `hcl:"logins,block"`
	// When queued mail is tried, and for how long.
	Queue QueueSettings `hcl:"queue,block"`
	// What the DNS says of this server, and how often that is looked at.
	Deliverability DeliverabilitySettings `hcl:"deliverability,block"`
}

// LogSettings is the log block.
type LogSettings struct {
	// "debug", "info", "warn" or "error". Default "info".
	Level string `hcl:"level,optional"`
	// "json" or "console". Default: console on a terminal, JSON otherwise.
	Format string `hcl:"format,optional"`
	// What to leave out: "address" writes the domain of a mail address only.
	Redact []string `hcl:"redact,optional"`
}

// MetricsSettings is the metrics block.
type MetricsSettings struct {
	// Where /metrics, /livez and /readyz are served, as "127.0.0.1:9090".
	// Default: nowhere but on the admin socket.
	Address string `hcl:"address,optional"`
}

// AdminSettings is the admin block.
type AdminSettings struct {
	// Where the commands of the waxwing program reach the server:
	// "unix:/data/admin.sock", or a TCP address together with a token.
	// Default: admin.sock in the data directory.
	Address string `hcl:"address,optional"`
	// The bearer token that every request on a TCP address must carry.
	Token Secret `hcl:"token,optional"`
}

// Limits is the limits block: what one message, client or server may cost.
type Limits struct {
	// The largest message, as announced with SIZE. Default 25MiB.
	MaxMessageSize Size `hcl:"max_message_size,optional"`
	// The largest message header. Default 1MiB.
	MaxHeader Size `hcl:"max_header,optional"`
	// Recipients of one message. Default 1000; RFC 5321, section 4.5.3.1.8
	// asks for at least 100.
	MaxRecipients int `hcl:"max_recipients,optional"`
	// Received fields after which a message is taken to be in a loop.
	// Default 100 (RFC 5321, section 6.3).
	MaxHops int `hcl:"max_hops,optional"`
	// Connections of all clients of a listener. Default 1000.
	MaxConnections int `hcl:"max_connections,optional"`
	// Connections of one client address to a listener. Default 100.
	MaxConnectionsPerIP int `hcl:"max_connections_per_ip,optional"`
	// Connections of one user who has logged in to a listener, from all
	// addresses. Default 500.
	MaxConnectionsPerUser int `hcl:"max_connections_per_user,optional"`
	// How often one client address may connect to a listener, as "600/m": as
	// many at once, and as many a minute on average; an IPv6 /64 counts as one
	// address. Not for trusted networks, nor for addresses that many can share:
	// loopback and private networks. "" is no limit. Default "600/m".
	ConnectionRatePerIP Rate `hcl:"connection_rate_per_ip,optional"`
	// How many messages one client address may begin on a listener without
	// logging in, as "1000/h"; for whom is as with connection_rate_per_ip.
	// Default "", no limit. How much users may send, check "quota" limits.
	MessageRatePerIP Rate `hcl:"message_rate_per_ip,optional"`
	// How long a check may take for one answer, such as that to RCPT, and a
	// rewrite or a signer for one message; the client is then answered 451.
	// An authenticator may take as long for one log-in, which is then answered
	// 454. Clients wait 5 minutes (RFC 5321, section 4.5.3.2), and 10 for the
	// content. Default 1m.
	CheckTimeout time.Duration `hcl:"check_timeout,optional"`
	// Below so much free disk space mail is refused with 452 and delivery
	// goes on. Default 256MiB.
	MinFreeDisk Size `hcl:"min_free_disk,optional"`
	// Memory for all that clients make the server keep at the same time:
	// connections, recipients, headers. When most of it is in use, new
	// connections get 421 and what needs much of it 452. Not less than 16 times
	// max_header. Default: a quarter of the memory of the machine, of the
	// container, or of GOMEMLIMIT, whichever is least; at most 256MiB.
	MaxMemory Size `hcl:"max_memory,optional"`
}

// QueueSettings is the queue block.
type QueueSettings struct {
	// When to try again after a failed attempt. Default
	// "1m, 5m, 15m, 1h*6, 3h*": "*6" is six times, a bare "*" until lifetime.
	Retry Schedule `hcl:"retry,optional"`
	// How long to try (RFC 5321, section 4.5.4.1: 4 to 5 days). Default 5d.
	Lifetime time.Duration `hcl:"lifetime,optional"`
	// When to tell the sender that a message is late; 0 is never. Default 4h.
	WarnAfter time.Duration `hcl:"warn_after,optional"`
	// How many reports of one hour a sender gets, before what more of its mail
	// fails is told in one digest at the end of the hour. 0 is no limit.
	// Default 100.
	ReportLimit int `hcl:"report_limit,optional"`
	// Who gets a copy of such digests, as "postmaster@example.com". Default:
	// nobody but the sender.
	Postmaster Mailbox `hcl:"postmaster,optional"`
	// Deliveries at a time, over all destinations. Default 100.
	Concurrency int `hcl:"concurrency,optional"`
	// Deliveries at a time to one site: the servers that one or more domains
	// share. A relay may know better for some of them. Default 20.
	DestinationConcurrency int `hcl:"destination_concurrency,optional"`
	// Deliveries in a time, over all destinations, as "20/s" or "10000/day".
	// What is more waits, without an attempt. Default: no limit.
	Rate Rate `hcl:"rate,optional"`
	// A file of rules by which replies of other servers are told apart, as
	// "/etc/waxwing/classes.txt". Default: those that come with Waxwing.
	Classes ClassRules `hcl:"classes,optional"`
}

// The modes.
const (
	ModeLive    = "live"
	ModeCapture = "capture"
)

// DefaultSettings returns the settings of an empty file, without Hostname and
// DataDir, which depend on the machine.
func DefaultSettings() Settings {
	return Settings{
		Mode: ModeLive,
		Log:  LogSettings{Level: "info"},
		Limits: Limits{
			MaxMessageSize:      25 << 20,
			MaxHeader:           1 << 20,
			MaxRecipients:       1000,
			MaxHops:             100,
			MaxConnections:      1000,
			MaxConnectionsPerIP: 100,
			MinFreeDisk:         256 << 20,

			MaxConnectionsPerUser: 500,
			ConnectionRatePerIP:   Rate{600, time.Minute},
			CheckTimeout:          time.Minute,
		},
		Logins: LoginSettings{BanAfter: 20, BanFor: 15 * time.Minute, AccountFailures: 20},
		Queue: QueueSettings{
			Retry:                  defaultSchedule(),
			Lifetime:               5 * 24 * time.Hour,
			WarnAfter:              4 * time.Hour,
			ReportLimit:            100,
			Concurrency:            100,
			DestinationConcurrency: 20,
		},
		Deliverability: DeliverabilitySettings{Watch: time.Hour},
	}
}

// A Size is a number of octets, written "64KiB", "25MiB", "1GiB", "1GB" or as
// a plain number.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// ParseSize parses a Size.
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf(`%q is not a size; write a whole number and a unit, such as "64KiB", "25MiB" or "1GiB"`, s)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}

// String writes the size with the largest binary unit that is exact.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := sizeUnits[i]; int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
