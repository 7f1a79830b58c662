package smarthost

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestOutbound(t *testing.T) {
	tests := []struct {
		addresses []string
		want      appliance.Outbound
	}{
		{[]string{"smtp.sendgrid.net"}, appliance.Outbound{Via: "smtp.sendgrid.net", Includes: []string{"sendgrid.net"}}},
		{[]string{"email-smtp.eu-west-1.amazonaws.com:465"}, appliance.Outbound{Via: "email-smtp.eu-west-1.amazonaws.com", Includes: []string{"amazonses.com"}}},
		{[]string{"ec2-1.eu-west-1.compute.amazonaws.com:25"}, appliance.Outbound{Via: "ec2-1.eu-west-1.compute.amazonaws.com"}},
		{[]string{"example-com.mail.protection.outlook.com:25"}, appliance.Outbound{Via: "example-com.mail.protection.outlook.com", Includes: []string{"spf.protection.outlook.com"}}},
		{[]string{"192.0.2.1:25"}, appliance.Outbound{Via: "192.0.2.1"}},
		{[]string{"smtp.mailgun.org", "smtp.eu.mailgun.org"}, appliance.Outbound{Via: "smtp.mailgun.org", Includes: []string{"mailgun.org"}}},
		{[]string{"smtp.mailgun.org", "gate.example.net"}, appliance.Outbound{Via: "gate.example.net", Includes: []string{"mailgun.org"}}},
	}
	for _, tt := range tests {
		s := New()
		s.Addresses = tt.addresses
		if err := s.Provision(&appliance.Context{Hostname: "us.test"}); err != nil {
			t.Fatal(err)
		}
		for _, a := range tt.addresses { // as the file has them, with the port of submission
			if !strings.Contains(a, ":") {
				a += ":587"
			}
			tt.want.Servers = append(tt.want.Servers, a)
		}
		if diff := cmp.Diff(tt.want, s.Outbound()); diff != "" {
			t.Errorf("%v: %s", tt.addresses, diff)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestProviders(t *testing.T) {
	for _, p := range providers {
		if _, err := path.Match(p.host, ""); err != nil || p.include == "" {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
