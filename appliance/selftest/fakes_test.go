package selftest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	msgdkim "github.com/emersion/go-msgauth/dkim"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// zone is a resolver of which a test writes down what the DNS has. Names have
// no final dot. What is not there certainly does not exist, unless the zone is
// silent.
type zone struct {
	txt    map[string][]string
	mx     map[string][]*net.MX
	addr   map[string][]string
	ptr    map[string][]string
	silent map[string]bool // names, or "*", without an answer
}

var _ appliance.Resolver = (*zone)(nil)

func answer[T any](z *zone, all map[string][]T, name string) ([]T, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if z.silent[name] || z.silent["*"] {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	if len(all[name]) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return all[name], nil
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	return answer(z, z.txt, name)
}
func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return answer(z, z.mx, name)
}
func (z *zone) LookupAddr(_ context.Context, ip string) ([]string, error) {
	return answer(z, z.ptr, ip)
}

func (z *zone) LookupNetIP(_ context.Context, network, host string) (found []netip.Addr, err error) {
	all, err := answer(z, z.addr, host)
	for _, text := range all {
		ip := netip.MustParseAddr(text)
		if network == "ip" || ip.Is4() == (network == "ip4") {
			found = append(found, ip)
		}
	}
	if err == nil && len(found) == 0 {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, err
}

// key is a key that is the same in each run.
func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func record(seed byte) string { return dkimkey.Text(key(seed).Public()) }

// well is a zone in which everything is right for example.com.
func well() *zone {
	return &zone{
		txt: map[string][]string{
			"example.com":                    {"v=spf1 ip4:203.0.113.5 -all", "some-verification=x"},
			"w1._domainkey.example.com":      {record(1)},
			"_dmarc.example.com":             {"v=DMARC1; p=reject"},
			"_dmarc.other.example":           {"v=DMARC1; p=reject"},
			"w1._domainkey.esp.example":      {record(1)},
			"w1._domainkey.news.example.com": {record(1)},
		},
		mx:     map[string][]*net.MX{"example.com": {{Host: "mail.example.com.", Pref: 10}}, "news.example.com": {{Host: "mail.example.com.", Pref: 10}}},
		addr:   map[string][]string{"mail.example.com": {"203.0.113.5"}},
		silent: map[string]bool{},
	}
}

// noon is when the messages of these tests are made: signatures have to be
// good when the library verifies them, by the clock of the machine.
var noon = time.Now().UTC().Truncate(time.Second)

// A signer says how a letter is signed.
type signer struct {
	domain, agent string
	key           byte
	expires       time.Duration
	leaveOut      string // a field that is not signed
}

// letter is a message that is right, but for what a test changes.
type letter struct {
	fields  []string // replace those of the same name; "Name:" removes it
	body    string
	signers []signer
	zone    *zone
	change  func(*Letter)
}

var plain = []string{
	"From: App <app@example.com>", "To: you@receiver.example", "Subject: A test", "Message-ID: <1@example.com>",
	"MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
}

func (x letter) write(t *testing.T) *Letter {
	t.Helper()
	fields := append([]string{"Date: " + noon.Format(time.RFC1123Z)}, plain...)
	for _, f := range x.fields {
		name, value, _ := strings.Cut(f, ":")
		kept := fields[:0:0]
		for _, old := range fields {
			if !strings.HasPrefix(old, name+":") {
				kept = append(kept, old)
			}
		}
		fields = kept
		if value != "" {
			fields = append(fields, strings.Split(f, "|")...)
		}
	}
	body := x.body
	if body == "" {
		body = "Hello.\r\n"
	}
	header := strings.Join(fields, "\r\n") + "\r\n"
	for _, s := range x.signers {
		header = s.sign(t, header, body) + header
	}
	h, err := appliance.ParseHeader([]byte(header))
	if err != nil {
		t.Fatal(err)
	}
	l := &Letter{
		Envelope: appliance.Envelope{From: appliance.Mailbox{Local: "bounce", Domain: "example.com"}, Recipients: []appliance.Recipient{{Mailbox: appliance.Mailbox{Local: "you", Domain: "receiver.example"}}}},
		Message:  appliance.Message{Header: h, Body: appliance.BytesBody("\r\n" + body)},
		SignedBy: []string{"example.com"},
		Sources:  []Source{{netip.MustParseAddr("203.0.113.5"), "mail.example.com"}},
		TLS:      "opportunistic, unless DANE or MTA-STS demands more",
		Server: []appliance.Finding{
			{Name: "PTR of 203.0.113.5", Status: appliance.FoundOK, Text: "mail.example.com, which has this address", Record: "ptr"},
		},
		Keys:     []appliance.DNSRecord{{Name: "w1._domainkey.example.com", Type: "TXT", Value: record(1)}},
		Resolver: x.zone, Now: noon,
	}
	if x.change != nil {
		x.change(l)
	}
	return l
}

func (s signer) sign(t *testing.T, header, body string) string {
	t.Helper()
	names := []string{}
	for _, f := range append(oversigned, "To", "MIME-Version", "Content-Type", "Message-ID", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post", "From", "Subject", "Date") {
		if f != s.leaveOut {
			names = append(names, f)
		}
	}
	o := &msgdkim.SignOptions{
		Domain: s.domain, Selector: "w1", Identifier: s.agent, Signer: key(s.key), HeaderKeys: names,
		HeaderCanonicalization: "relaxed", BodyCanonicalization: "relaxed",
	}
	if s.expires != 0 {
		o.Expiration = noon.Add(s.expires)
	}
	w, err := msgdkim.NewSigner(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write([]byte(header + "\r\n" + body))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return w.Signature()
}
