package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ourKey is the record of the key that signs.
const ourKey = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

// wellZone is what the DNS says of a server with which all is well.
const wellZone = `
arpa. NS ns.root.test.
mail.example.com. A 203.0.113.5
mail.example.com. TXT "v=spf1 ip4:203.0.113.5 -all"
5.113.0.203.in-addr.arpa. PTR mail.example.com.
example.com. MX 10 mx.example.com.
mx.example.com. A 203.0.113.9
example.com. TXT "v=spf1 ip4:203.0.113.5 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"
sel._domainkey.example.com. TXT "` + ourKey + `"
gmail.com. MX 5 mx.gmail.com.
mx.gmail.com. A 198.51.100.1
outlook.com. MX 5 mx.outlook.com.
mx.outlook.com. A 198.51.100.2
`

var testTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// A world is a server with which all is well, and what is around it.
type world struct {
	*Subject
	peers *peers
}

func newWorld(t *testing.T, r appliance.Resolver) *world {
	set := appliance.DefaultSettings()
	set.Hostname, set.DataDir = "mail.example.com", "/data"
	set.Deliverability.Addresses = []netip.Addr{netip.MustParseAddr("203.0.113.5")}
	set.Deliverability.Blocklists = []appliance.Secret{}
	p := &peers{scripts: map[string]string{
		"198.51.100.1:25": "220 mx.gmail.com ESMTP",
		"198.51.100.2:25": "220 mx.outlook.com ready",
	}}
	t.Cleanup(p.all.Wait)
	return &world{peers: p, Subject: &Subject{
		Settings: set, Resolver: r,
		Relays:    []Relay{{Addr: "relay.internet"}},
		Domains:   []string{"example.com"},
		Records:   []appliance.DNSRecord{{Name: "sel._domainkey.example.com", Type: "TXT", Value: ourKey}},
		Wanted:    wantedRecords,
		Healthy:   func() error { return nil },
		Dial:      p.dial,
		Now:       func() time.Time { return testTime },
		Local:     func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.5")}, nil },
		Free:      func(string) (uint64, error) { return 40 << 30, nil },
		Receivers: []string{"gmail.com", "outlook.com"},

		Descriptors: func() (uint64, error) { return 1 << 20, nil },
	}}
}

// wantedRecords are those of example.com.
func wantedRecords(outward []netip.Addr) []records.Record {
	f := records.Facts{Hostname: "mail.example.com", Direct: true, Domains: []string{"example.com"}}
	for _, ip := range outward {
		f.Sources = append(f.Sources, records.Source{Addr: ip, Name: f.Hostname})
	}
	return records.Wanted(f)
}

// peers are the servers that can be connected to.
type peers struct {
	mu      sync.Mutex
	scripts map[string]string // by address: lines; the first is the greeting
	said    []string          // by us
	all     sync.WaitGroup
}

var errRefused = errors.New("connection refused")

func (p *peers) dial(_ context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	script, ok := p.scripts[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errRefused}
	}
	us, them := net.Pipe()
	p.all.Go(func() { p.play(them, strings.Split(script, "\n")) })
	return us, nil
}

// play says the lines of a script, one after each line that is heard; the last
// one again and again. A line of several replies is parted by "|".
func (p *peers) play(c net.Conn, lines []string) {
	defer c.Close()
	buf := make([]byte, 1000)
	for i := 0; ; i++ {
		line := lines[min(i, len(lines)-1)]
		if _, err := c.Write([]byte(strings.ReplaceAll(line, "|", "\r\n") + "\r\n")); err != nil {
			return
		}
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		said := strings.TrimRight(string(buf[:n]), "\r\n")
		p.mu.Lock()
		p.said = append(p.said, said)
		p.mu.Unlock()
		if said == "QUIT" {
			fmt.Fprint(c, "221 2.0.0 bye\r\n")
			return
		}
	}
}

// text writes findings as golden files have them.
func text(groups []appliance.Finding) string {
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s\n", g.Name)
		for _, f := range g.Parts {
			fmt.Fprintf(&b, "  %-7s %s: %s\n", f.Status, f.Name, f.Text)
			if f.Fix != "" {
				fmt.Fprintf(&b, "    fix: %s\n", strings.ReplaceAll(f.Fix, "\n", "\n      "))
			}
			for _, d := range f.Details {
				fmt.Fprintf(&b, "    %s\n", d)
			}
		}
	}
	return b.String()
}
