package appliance

import (
	"strings"
	"testing"
)

func TestParseDNSServer(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"10.0.0.53", "10.0.0.53:53"},
		{"127.0.0.1:5353", "127.0.0.1:5353"},
		{"2001:db8::53", "[2001:db8::53]:53"},
		{"[2001:db8::53]:5353", "[2001:db8::53]:5353"},
		{"dns.example.com", ""},
		{"dns.example.com:53", ""},
		{"10.0.0.53:0", ""},
		{"10.0.0.53:", ""},
		{":53", ""},
	} {
		got, err := ParseDNSServer(tc.in)
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("%q is %s, an error was expected", tc.in, got)
		case tc.want == "" && !strings.Contains(err.Error(), `write "10.0.0.53"`):
			t.Errorf("%q: %v does not say what to write", tc.in, err)
		case tc.want != "" && got.String() != tc.want:
			t.Errorf("%q: %s (%v), want %s", tc.in, got, err, tc.want)
		}
	}
}
