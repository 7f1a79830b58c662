package cmd_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// aDNS is all the DNS there is: the lines of a zone file.
type aDNS []dns.RR

// serveDNS starts it, and returns where.
func serveDNS(t *testing.T, lines string) string {
	t.Helper()
	var all aDNS
	p := dns.NewZoneParser(strings.NewReader(lines), ".", "")
	p.SetDefaultTTL(1)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		all = append(all, rr)
	}
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: pc, Handler: all}
	ready := make(chan struct{})
	s.NotifyStartedFunc = func() { close(ready) }
	var running sync.WaitGroup
	running.Go(func() { _ = s.ActivateAndServe() })
	<-ready
	t.Cleanup(func() { s.Shutdown(); running.Wait() })
	return pc.LocalAddr().String()
}

// ServeDNS implements dns.Handler.
func (all aDNS) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	known := false
	for _, rr := range all {
		known = known || dns.IsSubDomain(q.Question[0].Name, rr.Header().Name)
		if strings.EqualFold(rr.Header().Name, q.Question[0].Name) && rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	if len(m.Answer) == 0 {
		soa, _ := dns.NewRR(". 1 SOA ns.test. hostmaster.test. 1 60 60 60 1")
		m.Ns = []dns.RR{soa}
	}
	_ = w.WriteMsg(m)
}

// TestDoctorOfARunningServer: the command asks the server, which knows its keys
// and its listeners, and asks the DNS from there.
func TestDoctorOfARunningServer(t *testing.T) {
	at := serveDNS(t, `
arpa. NS ns.test.
example.com. NS ns.example.com. ; where nobody answers
ns.example.com. A 127.0.0.1
mail.example.com. A 203.0.113.5
5.113.0.203.in-addr.arpa. PTR other.example.net.
other.example.net. A 203.0.113.5
example.com. MX 10 mx.example.com.
mx.example.com. A 198.51.100.7
example.com. TXT "v=spf1 ip4:203.0.113.5 -all"
_dmarc.example.com. TXT "v=DMARC1; p=none"
`)
	s := startServer(t, `
resolver = "`+at+`"
signer "dkim" "own" { domains = ["example.com"] }
relay "mx" "internet" {}
listener "smtp" "open" {
  address = "127.0.0.1:0"
  trusted = ["127.0.0.0/8"]
}
pipeline "local" {
  listeners = [listener.open]
  signers   = [signer.own]
  relay     = relay.internet
}
deliverability {
  addresses  = ["203.0.113.5"]
  blocklists = []
  webhook    = "https://hooks.example.com/secret-token"
}
`)
	status, out := s.ask("doctor", "--wide")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{
		`(?m)^  ok      server: it accepts`,
		`(?m)^  skipped port 25 outwards: no server could be found`,
		`(?m)^  ok      open relay: listener.public, port \d+: strangers are refused$`,
		`(?m)^  skipped open relay: listener.open, port \d+: 127.0.0.1 is in its trusted networks \(127.0.0.0/8\)`,
		`(?m)^  warn    PTR of 203.0.113.5: 203.0.113.5 is called other.example.net, and this server calls itself mail.example.com`,
		`(?m)^  ok      MX: example.com is served by mx.example.com \(10\)$`,
		`(?m)^  ok      SPF from 203.0.113.5: 203.0.113.5 may send for example.com: ip4:203.0.113.5; 0 of 10 look-ups$`,
		`(?m)^  fail    DKIM key waxwing: there is no TXT record at waxwing._domainkey.example.com: mail counts as not signed$`,
		`(?m)^            waxwing._domainkey.example.com. IN TXT "v=DKIM1; k=rsa; p=`,
		`(?m)^  ok      DMARC of example.com: _dmarc.example.com says v=DMARC1; p=none`,
		`(?m)^mail.example.com: \d+ ok, [2-9] warnings, 1 failed, \d+ skipped$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no line is %s", want)
		}
	}
	if strings.Contains(out, "secret-token") || strings.Contains(s.log.String(), "secret-token") {
		t.Error("the address of the webhook is shown")
	}
	if t.Failed() {
		t.Log(out)
	}
	if text := s.metrics(t); !strings.Contains(text, "\nwaxwing_dns_check_timestamp_seconds 0\n") {
		t.Errorf("nothing watches the DNS:\n%.500s", text)
	}
}

// metrics are those of the server, from its socket.
func (s *aServer) metrics(t *testing.T) string {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.dir+"/data/admin.sock")
	}}}
	resp, err := c.Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
