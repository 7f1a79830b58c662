package dnstest

import (
	"crypto"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// sign sees to the signatures of a zone, and notes what a resolver has to know
// to believe them. It returns what the zone file is to hold.
func (s *Server) sign(t testing.TB, z Zone, text string) (signed string, err error) {
	t.Helper()
	switch z.DNSSEC {
	case Signed:
		s.anchors[z.Name], err = s.makeKey(need(t, "keymgr", "knot"), z.Name)
		return text, err
	case Expired:
		signed, s.anchors[z.Name], err = signExpired(z.Name, text)
		return signed, err
	}
	return text, nil
}

// makeKey makes a key for a zone that the server will sign with, and returns
// its DS record.
func (s *Server) makeKey(keymgr, zone string) (anchor string, err error) {
	if out, err := exec.Command(keymgr, "-c", s.conf(), zone, "generate", "ksk=yes", "zsk=yes").CombinedOutput(); err != nil {
		return "", fmt.Errorf("keymgr generate: %w\n%s", err, out)
	}
	out, err := exec.Command(keymgr, "-c", s.conf(), zone, "ds").Output()
	if err != nil {
		return "", fmt.Errorf("keymgr ds: %w", err)
	}
	anchor, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return anchor, nil
}

// signExpired signs a zone with signatures that were good until yesterday and
// returns it with the DS record of its key. It proves nothing about names that
// do not exist: nobody gets as far as to ask for that.
func signExpired(zone, text string) (signed, anchor string, err error) {
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 5},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		return "", "", err
	}
	sets, err := rrsets(text)
	if err != nil {
		return "", "", err
	}
	var b strings.Builder
	for _, set := range append(sets, []dns.RR{key}) {
		sig := &dns.RRSIG{
			KeyTag: key.KeyTag(), SignerName: zone, Algorithm: key.Algorithm,
			Inception:  uint32(time.Now().Add(-72 * time.Hour).Unix()),
			Expiration: uint32(time.Now().Add(-24 * time.Hour).Unix()),
		}
		if err := sig.Sign(private.(crypto.Signer), set); err != nil {
			return "", "", err
		}
		for _, rr := range append(set, sig) {
			fmt.Fprintln(&b, rr)
		}
	}
	return b.String(), strings.ReplaceAll(key.ToDS(dns.SHA256).String(), "\t", " "), nil
}

// rrsets are the records of a zone file, those of the same name and type
// together (RFC 2181, section 5).
func rrsets(text string) (sets [][]dns.RR, err error) {
	type id struct {
		name string
		typ  uint16
	}
	at := make(map[id]int)
	p := dns.NewZoneParser(strings.NewReader(text), "", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		k := id{rr.Header().Name, rr.Header().Rrtype}
		i, seen := at[k]
		if !seen {
			i, at[k] = len(sets), len(sets)
			sets = append(sets, nil)
		}
		sets[i] = append(sets[i], rr)
	}
	return sets, p.Err()
}
