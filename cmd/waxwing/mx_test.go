package main

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// mxQueue loses patience in seconds.
const mxQueue = `queue {
  retry      = "1s*"
  lifetime   = "3s"
  warn_after = "1500ms"
}`

// mxRelay delivers to mail exchangers on loopback that a DNS server of the
// test knows.
const mxRelay = `
resolver = %q

relay "mx" "out" {
  port           = %s
  allow_networks = ["127.0.0.0/8"]
}
`

// newMX starts a server that sends by MX to a sink on loopback.
func newMX(t *testing.T, z zone, got func(*appliancetest.SinkMessage) string) *process {
	sink := newSink(t, got)
	_, port, err := net.SplitHostPort(sink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, fmt.Sprintf(mxRelay, z.serve(t), port))
	p.setting("queue { concurrency = 20 }", mxQueue)
	p.start()
	return p
}

// fate finds what a report says about its recipient.
var fate = regexp.MustCompile(`(?s)Final-Recipient: rfc822; someone@(\S+)\r\nAction: (\S+)\r\nStatus: (\S+)\r\n`)

// TestMX is relay "mx" from the submission to the sink and back (N1–N4, P6):
// what arrives, what the sender is told about the rest, and that the reports
// can be trusted.
func TestMX(t *testing.T) {
	z := zone{
		"mx.example.net":    {a: "127.0.0.1"},
		"dead.example.net":  {a: "127.0.0.77"}, // nobody listens
		"inner.example.net": {a: "10.1.2.3"},
		"example.com":       {mx: []string{"mx.example.net"}}, // for the reports

		"good.example":     {mx: []string{"mx.example.net"}},
		"fallback.example": {mx: []string{"dead.example.net", "mx.example.net"}},
		"nomx.example":     {a: "127.0.0.1"},
		"null.example":     {mx: []string{"."}},
		"private.example":  {mx: []string{"inner.example.net"}},
		"self.example":     {mx: []string{"mail.example.com"}},
		"nowhere.example":  {mx: []string{"gone.example.net"}},
		"servfail.example": {rcode: dnsmessage.RCodeServerFailure},
		"refused.example":  {rcode: dnsmessage.RCodeRefused},
		"cut.example":      {mx: []string{"mx.example.net"}, cut: true},
		"dead.example":     {mx: []string{"dead.example.net"}},
	}
	want := map[string]string{
		"good.example":      "delivered",
		"fallback.example":  "delivered",
		"nomx.example":      "delivered",
		"grey.good.example": "delivered",
		"null.example":      "failed 5.1.10",
		"private.example":   "failed 5.4.4",
		"self.example":      "failed 5.4.6",
		"nowhere.example":   "failed 5.4.4",
		"gone.example":      "failed 5.1.2",
		"servfail.example":  "delayed 4.4.3, failed 4.4.7",
		"refused.example":   "delayed 4.4.3, failed 4.4.7",
		"cut.example":       "delayed 4.4.3, failed 4.4.7",
		"dead.example":      "delayed 4.4.1, failed 4.4.7",
	}
	z["grey.good.example"] = z["good.example"]
	var box inbox
	var refused atomic.Bool
	p := newMX(t, z, func(m *appliancetest.SinkMessage) string {
		if m.To[0] == "someone@grey.good.example" && refused.CompareAndSwap(false, true) {
			return "451 4.7.1 Greylisted"
		}
		return box.got(m)
	})
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for domain := range want {
		to := "someone@" + domain
		if _, err := c.Submit("app@example.com", []string{to}, appliancetest.Message("app@example.com", to, "to "+domain, 500)); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if t.Failed() {
			t.Logf("the fates are %v", fates(t, box.all()))
		}
	}()
	until(t, 30*time.Second, "everything has come to its end", func() bool { return maps.Equal(fates(t, box.all()), want) })
	records := dkimRecords(t, p)
	for _, m := range box.all() {
		dkimVerify(t, records, m.Data)
	}
	if out := p.run("queue", "list"); !strings.Contains(out, "empty") {
		t.Errorf("the queue is not empty:\n%s", out)
	}
}

// fates says what became of the mail to each domain: "delivered", or what the
// reports about it say.
func fates(t *testing.T, mail []*appliancetest.SinkMessage) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for _, m := range mail {
		if m.To[0] != "app@example.com" {
			got[strings.TrimPrefix(m.To[0], "someone@")] += "delivered"
			continue
		}
		f := fate.FindSubmatch(m.Data)
		if f == nil || m.From != "" {
			t.Fatalf("from %q:\n%s", m.From, m.Data)
		}
		d := string(f[1])
		got[d] = strings.TrimPrefix(fmt.Sprintf("%s, %s %s", got[d], f[2], f[3]), ", ")
	}
	return got
}
