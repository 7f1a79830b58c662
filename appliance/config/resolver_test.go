package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestResolver: one server is a string, several are a list of them.
func TestResolver(t *testing.T) {
	load := func(value string) (appliance.DNSServers, error) {
		text := "hostname = \"mail.example.com\"\nlistener \"submission\" \"in\" { trusted = [\"10.0.0.0/8\"] }\n" +
			"pipeline \"p\" {\n  listeners = [listener.in]\n  relay = relay.a\n}\nrelay \"mx\" \"a\" {}\n"
		if value != "" {
			text += "resolver = " + value + "\n"
		}
		file, err := Load("mail.hcl", []byte(text), Options{Registry: fakeRegistry(), DataDir: t.TempDir()}, nil)
		if err != nil {
			return nil, err
		}
		return file.Graph.Settings.Resolver, nil
	}
	for value, want := range map[string]appliance.DNSServers{
		"":                                   nil,
		`""`:                                 nil,
		`"10.0.0.53"`:                        {"10.0.0.53"},
		`["10.0.0.53"]`:                      {"10.0.0.53"},
		`["127.0.0.1:5353", "2001:db8::53"]`: {"127.0.0.1:5353", "2001:db8::53"},
		`[]`:                                 {},
	} {
		got, err := load(value)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", value, err, diff)
		}
	}
	for value, want := range map[string]string{
		`["10.0.0.53", "dns.example.com"]`: `"dns.example.com" is not the IP address of a DNS server`,
		`["10.0.0.53", "10.0.0.53:53"]`:    `the DNS server "10.0.0.53:53" is there twice`,
		`["10.0.0.53", 53]`:                "a list or map that holds a number",
		`53`:                               `takes the address of a DNS server in quotes, such as "10.0.0.53", or a list of them; this is a number`,
	} {
		if _, err := load(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
}
