package appliance

import (
	"net/netip"
	"testing"
)

// FuzzClassify: rules and replies, which both come from outside, are taken
// apart without a panic, and the class is one that there is.
func FuzzClassify(f *testing.F) {
	f.Add("spam 5.7.26 bulk mail | spam\n# comment\nrate 4*\n", 550, "5.7.26 no spam here")
	f.Add("rate *.*.* \xff|\x00", 421, "\x00\r\n")
	f.Add("spam ???????????????????????????????", 999, "")
	f.Fuzz(func(t *testing.T, text string, code int, reply string) {
		rules, err := ParseClassRules(text)
		if err != nil && len(rules.rules) > 0 {
			t.Error("rules of a bad file")
		}
		r := &Result{Reply: Reply{Code: code, Text: reply}, Remote: true}
		if c := rules.Classify(r); c != "" && !c.IsValid() {
			t.Errorf("class %q", c)
		}
	})
}

// FuzzParseRate: what is read is written as it is read.
func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"100/1m", "20/s", "50/day", "1/0s", "1/1ms", "-1/s", "1e9/h", "1/ 2h30m", "9223372036854775808/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRate(text)
		if err != nil {
			return
		}
		if again, err := ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %q, which is %+v, %v", text, r, again, err)
		}
	})
}

// FuzzParseNetwork: a network that decides whom to trust is never larger than
// what is written, and never matches by another spelling of an address.
func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.0/24", "10.0.0.5", "2001:db8::/48", "::ffff:10.0.0.1", "::ffff:0:0/96", "fe80::1%eth0", "10.0.0.1/8", "0/0", "010.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseNetwork(text)
		if err != nil {
			return
		}
		if p != p.Masked() || p.Addr().Zone() != "" || p.Addr().Is4In6() {
			t.Errorf("%q is %v", text, p)
		}
		if again, err := ParseNetwork(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, which is %v, %v", text, p, again, err)
		}
		if ip, err := netip.ParseAddr(text); err == nil && p != netip.PrefixFrom(ip, ip.BitLen()) {
			t.Errorf("the address %q is %v", text, p)
		}
	})
}
