package config

import (
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestPosition: what the file says is found where it says it.
func TestPosition(t *testing.T) {
	file, err := Load("mail.hcl", []byte(`hostname = "mail.example.com"
queue {
  lifetime = "3d"
}
relay "mx" "a" {}
relay "mx" "b" {}
listener "submission" "in" { trusted = ["10.0.0.0/8"] }
pipeline "p" {
  listeners = [listener.in]
  relay     = relay.a
  route {
    when  = user == "x"
    relay = relay.b
  }
  route {
    when   = user == "y"
    reject = "550 5.1.2 no"
  }
}
`), Options{Registry: fakeRegistry(), DataDir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := appliance.Addr{Kind: appliance.KindPipeline, Name: "p"}
	for _, c := range []struct {
		addr       appliance.Addr
		attr, want string
		written    bool
	}{
		{p, "relay", "mail.hcl:10", true},
		{p, "route.1", "mail.hcl:11", true},
		{p, "route.2", "mail.hcl:15", true},
		{p, "unsigned", "mail.hcl:8", false},
		{p, "", "mail.hcl:8", true},
		{appliance.Addr{Kind: appliance.KindRelay, Name: "b"}, "", "mail.hcl:6", true},
		{appliance.Addr{}, "hostname", "mail.hcl:1", true},
		{appliance.Addr{}, "queue.lifetime", "mail.hcl:3", true},
		{appliance.Addr{}, "queue.retry", "mail.hcl:2", false},
		{appliance.Addr{}, "limits.max_hops", "", false},
		{appliance.Addr{Kind: appliance.KindStore, Name: "main"}, "", "", false},
	} {
		if got, written := file.Position(c.addr, c.attr); got != c.want || written != c.written {
			t.Errorf("%s %s: %q, %t; want %q", c.addr, c.attr, got, written, c.want)
		}
	}
}
