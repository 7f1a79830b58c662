package resolver

import (
	"strings"
	"testing"
)

// FuzzFiles: whatever stands in resolv.conf and in the hosts file, there are
// servers to ask, within the limits, and names are absolute.
func FuzzFiles(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nsearch a.example b.example\noptions ndots:2 timeout:3\n", "host")
	f.Add("192.0.2.1 host host.example. # x\n::1 localhost\nfe80::1%eth0 x\n", "host.example")
	f.Add("options ndots:-1 timeout:99999999999999999999\nnameserver \x00\nsearch . .. \xff\n", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		s := parseResolvConf(text)
		if len(s.list) == 0 || len(s.list) > maxServers || len(s.search) > maxSearch ||
			s.ndots < 0 || s.ndots > maxNdots || s.timeout < 0 || s.timeout > maxTimeout {
			t.Errorf("%q: %+v", text, s)
		}
		for _, n := range s.names(name) {
			if !strings.HasSuffix(n, ".") {
				t.Errorf("%q is not absolute", n)
			}
		}
		h := parseHosts(text)
		for n, addrs := range h.addrs {
			if n != strings.ToLower(n) || !strings.HasSuffix(n, ".") || len(addrs) == 0 {
				t.Errorf("%q: %v", n, addrs)
			}
			for _, ip := range addrs {
				if len(h.names[ip]) == 0 {
					t.Errorf("%v has no name", ip)
				}
			}
		}
	})
}
