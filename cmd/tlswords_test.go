package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestCertificateWords: what people are told of a certificate, in a list, in
// a line, and when they should look after it.
func TestCertificateWords(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	at := func(days float64) time.Time { return now.Add(time.Duration(days * 24 * float64(time.Hour))) }
	names := []string{"mail.example.com"}
	for _, c := range []struct {
		info        appliance.CertificateInfo
		line, alarm string
	}{
		{
			appliance.CertificateInfo{State: appliance.CertificateValid, NotBefore: at(-29), NotAfter: at(61)},
			"valid until 2027-01-23, in 61 days", "",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificateValid, NotBefore: at(-89), NotAfter: at(1), Error: "refused\nask later", NextTry: at(0.125)},
			"valid until 2026-11-24 12:00:00, in 1d; refused; ask later; next try 2026-11-23 15:00:00, in 3h",
			"the certificate of mail.example.com expires soon: 2026-11-24 12:00:00, in 1d",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificateSelfSigned, NotBefore: at(-1), NotAfter: at(364)},
			"self-signed until 2027-11-22, in 364 days", "",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificateExpired, NotBefore: at(-93), NotAfter: at(-3)},
			"expired since 2026-11-20, 3 days ago",
			"the certificate of mail.example.com has expired: 2026-11-20, 3 days ago",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificateValid, NotBefore: at(-90), NotAfter: at(-0.125)},
			"expired since 2026-11-23 09:00:00, 3h ago",
			"the certificate of mail.example.com has expired: 2026-11-23 09:00:00, 3h ago",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificateExpired, NotBefore: at(3), NotAfter: at(93)},
			"not valid yet, from 2026-11-26, in 3 days",
			"the certificate of mail.example.com is not valid before 2026-11-26, in 3 days; is the clock of this machine right?",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificatePending},
			"pending; the first attempt to get it is under way", "there is no certificate for mail.example.com yet",
		},
		{
			appliance.CertificateInfo{State: appliance.CertificatePending, Error: "port 80 is taken", NextTry: at(0.125)},
			"pending; port 80 is taken; next try 2026-11-23 15:00:00, in 3h", "there is no certificate for mail.example.com yet",
		},
	} {
		c.info.Names = names
		if got := certificateLine(&c.info, now); got != "mail.example.com: "+c.line {
			t.Errorf("got  %s\nwant %s", got, c.line)
		}
		if got := alarmFor(&c.info, now); got != c.alarm {
			t.Errorf("got  %s\nwant %s", got, c.alarm)
		}
	}
}

// TestCertificateTable: what a stranger wrote into a certificate cannot move
// the cursor, and no text below a row makes a column wider.
func TestCertificateTable(t *testing.T) {
	var out strings.Builder
	p := &program{out: &out}
	err := p.showCertificates([]appliance.ServedCertificate{
		{Block: "tls.own", CertificateInfo: appliance.CertificateInfo{Issuer: "Evil\x1b[2J", Error: strings.Repeat("x", 100)}},
		{Block: "tls.own", CertificateInfo: appliance.CertificateInfo{Names: []string{"a", "b", "c", "d"}, State: appliance.CertificatePending, Source: "ca"}},
	}, time.Now())
	want := `NAME                BLOCK    STATE    ISSUER    EXPIRES  RENEWAL
(no name)           tls.own           Evil·[2J  -        -
  ` + strings.Repeat("x", 100) + `
a, b, c and 1 more  tls.own  pending  ca        -        -
  the first attempt to get it is under way
`
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), want)
	}
	out.Reset()
	if err := p.showCertificates(nil, time.Now()); err != nil || !strings.Contains(out.String(), "there are no certificates") {
		t.Errorf("none: %q, %v", out.String(), err)
	}
}
