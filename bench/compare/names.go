package compare

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// A nameServer answers for the test domains: where mail goes, which addresses
// the names have, and the record of the key. Nothing else exists.
type nameServer struct{ udp, tcp *dns.Server }

// Port 53 is the only one of /etc/resolv.conf. Which of these addresses is
// used depends on what else runs on the machine.
const (
	nameServerPort = "53"
	nameServers    = 50
)

func listenNames() (packets net.PacketConn, l net.Listener, err error) {
	for i := range nameServers {
		address := fmt.Sprintf("127.0.2.%d:%s", i+1, nameServerPort)
		if packets, err = net.ListenPacket("udp", address); err != nil {
			continue
		}
		if l, err = net.Listen("tcp", address); err == nil {
			return packets, l, nil
		}
		err = errors.Join(err, packets.Close())
	}
	return nil, nil, err
}

func serveNames(sink, record string) (*nameServer, error) {
	packets, l, err := listenNames()
	if err != nil {
		return nil, err
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(answerName(q, sink, record)) })
	s := &nameServer{udp: &dns.Server{PacketConn: packets, Handler: answer}, tcp: &dns.Server{Listener: l, Handler: answer}}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		ready := make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = server.ActivateAndServe() }() // ends with Shutdown
		<-ready
	}
	return s, nil
}

func (s *nameServer) address() string { return s.udp.PacketConn.LocalAddr().String() }

func (s *nameServer) close() error { return errors.Join(s.udp.Shutdown(), s.tcp.Shutdown()) }

// answerName answers a question from what is known.
func answerName(q *dns.Msg, sink, record string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	if len(q.Question) != 1 {
		return m.SetRcode(q, dns.RcodeFormatError)
	}
	name := strings.ToLower(q.Question[0].Name)
	h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 3600}
	known := map[string]map[uint16]dns.RR{
		peers.RecipientDomain + ".":                                {dns.TypeMX: &dns.MX{Hdr: h, Preference: 10, Mx: "mx." + peers.RecipientDomain + "."}},
		"mx." + peers.RecipientDomain + ".":                        {dns.TypeA: &dns.A{Hdr: h, A: net.ParseIP(sink)}},
		peers.SenderDomain + ".":                                   {dns.TypeTXT: &dns.TXT{Hdr: h, Txt: []string{"v=spf1 ip4:127.0.0.0/8 -all"}}},
		peers.Selector + "._domainkey." + peers.SenderDomain + ".": {dns.TypeTXT: &dns.TXT{Hdr: h, Txt: pieces(record)}},
		peers.Hostname + ".":                                       {dns.TypeA: &dns.A{Hdr: h, A: net.IPv4(127, 0, 0, 1)}},
	}
	types, ok := known[name]
	if !ok {
		return m.SetRcode(q, dns.RcodeNameError)
	}
	if rr, ok := types[q.Question[0].Qtype]; ok {
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// pieces divides a text into strings of at most 255 octets (RFC 1035, section
// 3.3).
func pieces(text string) []string {
	var list []string
	for len(text) > 255 {
		list, text = append(list, text[:255]), text[255:]
	}
	return append(list, text)
}
