package dnsbl

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// An echo answers every question alike, but that 127.0.0.1 is listed.
type echo struct {
	addrs []netip.Addr
	texts []string
}

func (e echo) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if e.addrs == nil || strings.HasPrefix(name, reversed(never4)) {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return e.addrs, nil
}

func (e echo) LookupTXT(context.Context, string) ([]string, error) { return e.texts, nil }

// FuzzCheck: whatever a list answers, only codes are a listing, and what it
// says fits on a terminal.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{127, 0, 0, 4, 127, 0, 0, 10}, "Listed, see https://bl.test/?ip=203.0.113.5.", "again")
	f.Add([]byte{127, 255, 255, 254}, "Error: open resolver", "")
	f.Add([]byte{127, 0, 0, 2, 192, 0, 2, 1}, "\x1b]0;title\a", "\xff")
	f.Add([]byte{127, 0, 0, 1}, strings.Repeat("ä", 400), "http://")
	f.Add([]byte{}, "http://user@host/ (https://[::1]:x/) https://ok.test/a?b", "\u202e")
	f.Fuzz(func(t *testing.T, octets []byte, one, two string) {
		e := echo{texts: []string{one, two}}
		for ; len(octets) >= 4; octets = octets[4:] {
			e.addrs = append(e.addrs, netip.AddrFrom4([4]byte(octets)))
		}
		all := Check(t.Context(), e, []List{testList()}, four)
		l := &all[0]
		if l.Text() == "" || (l.Fix != "") != (l.Listed || l.Problem != "") || l.Listed && l.Problem != "" || l.Listed != (len(l.Codes) > 0) {
			t.Errorf("this contradicts itself: %+v", l)
		}
		for i, c := range l.Codes {
			ip := netip.MustParseAddr(c.Addr)
			if !codes.Contains(ip) || refusals.Contains(ip) || ip == never4 || i > 0 && l.Codes[i-1].Addr == c.Addr {
				t.Errorf("%s is taken for a code", ip)
			}
		}
		said(t, l)
	})
}

// said looks at what a list has said in words.
func said(t *testing.T, l *Listing) {
	t.Helper()
	if len(l.Reason) > maxReason || !utf8.ValidString(l.Reason) || strings.ContainsFunc(l.Reason, func(r rune) bool { return !unicode.IsPrint(r) }) ||
		strings.Contains(l.Reason, "  ") || strings.TrimSpace(l.Reason) != l.Reason {
		t.Errorf("reason %q", l.Reason)
	}
	if l.Delist == "" {
		return
	}
	u, err := url.Parse(l.Delist)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(l.Delist, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		t.Errorf("delist %q: %v", l.Delist, err)
	}
}
