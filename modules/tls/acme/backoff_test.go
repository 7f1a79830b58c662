package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	acmeproto "github.com/mholt/acmez/v3/acme"
)

func TestBackOff(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		0: time.Minute, 1: time.Minute, 2: 2 * time.Minute, 3: 5 * time.Minute, 6: 30 * time.Minute,
		7: time.Hour, 9: 4 * time.Hour, 10: 6 * time.Hour, 11: 6 * time.Hour, 1 << 40: 6 * time.Hour,
	} {
		for range 100 {
			if got := backOff(failures); got < want*9/10 || got > want*11/10 {
				t.Fatalf("failure %d: %v, want about %v", failures, got, want)
			}
		}
	}
	for x, want := range map[float64]time.Duration{0: 54 * time.Second, 0.5: time.Minute, 1: 66 * time.Second} {
		if got := spread(time.Minute, x); got != want {
			t.Errorf("spread %v: %v, want %v", x, got, want)
		}
	}
}

func TestNextLook(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		renewal, life time.Duration
		just          bool
		want          time.Duration
	}{
		{60 * 24 * time.Hour, 90 * 24 * time.Hour, true, time.Hour},
		{20 * time.Minute, 90 * 24 * time.Hour, false, 20 * time.Minute},
		{-time.Hour, 90 * 24 * time.Hour, false, time.Second},
		// An authority that wants everything renewed at once.
		{-time.Hour, 90 * 24 * time.Hour, true, 108 * time.Hour},
		{time.Hour, 90 * 24 * time.Hour, true, 108 * time.Hour},
		{-time.Hour, 100 * time.Second, true, 5 * time.Second},
		{60 * time.Second, 90 * time.Second, true, time.Minute},
	} {
		leaf := &x509.Certificate{NotBefore: now, NotAfter: now.Add(c.life)}
		h := &held{certificate: &tls.Certificate{Leaf: leaf}, renewal: now.Add(c.renewal)}
		if got := nextLook(h, c.just, now); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestRenewalOf: the time is that of the authority, or a third before the end;
// certmagic comes to the same, or the keeper would come in vain.
func TestRenewalOf(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	meta := func(selected time.Duration) []byte {
		data, err := json.Marshal(acmeproto.Certificate{RenewalInfo: &acmeproto.RenewalInfo{SelectedTime: start.Add(selected)}})
		if err != nil {
			t.Fatal(err)
		}
		all, err := json.Marshal(certmagic.CertificateResource{IssuerData: data})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	c := &tls.Certificate{Leaf: &x509.Certificate{NotBefore: start, NotAfter: start.Add(299 * time.Second)}}
	for name, v := range map[string]struct {
		meta []byte
		want time.Duration
	}{
		"nothing known":       {nil, 200 * time.Second},
		"no JSON":             {[]byte("{"), 200 * time.Second},
		"no ACME":             {[]byte("{}"), 200 * time.Second},
		"the authority's":     {meta(100 * time.Second), 100 * time.Second},
		"revoked by thousand": {meta(-time.Hour), -time.Hour},
		"too late":            {meta(time.Hour), 285 * time.Second},
	} {
		if got := renewalOf(c, v.meta).Sub(start); got < v.want-time.Millisecond || got > v.want+time.Millisecond {
			t.Errorf("%s: %v after its start, want %v", name, got, v.want)
		}
	}
}

func TestLimitedFor(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	limited := func(detail string) error {
		return fmt.Errorf("wrapped: %w", acmeproto.Problem{Type: acmeproto.ProblemTypeRateLimited, Detail: detail})
	}
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{fmt.Errorf("something else"), 0},
		{acmeproto.Problem{Type: acmeproto.ProblemTypeDNS, Detail: "retry after 2026-11-24 12:00:00 UTC"}, 0},
		{acmeproto.Problem{Status: 429}, time.Hour},
		{limited("too many certificates"), time.Hour},
		{limited("too many certificates, retry after 2026-11-23 12:10:00 UTC: see https://…"), time.Hour},
		{limited("too many certificates (5), retry after 2026-11-23 15:29:00 UTC: see https://…"), 3*time.Hour + 30*time.Minute},
		{limited("retry after 2026-11-23T15:29:00Z"), 3*time.Hour + 30*time.Minute},
		{limited("retry after 2099-01-01 00:00:00 UTC"), 7 * 24 * time.Hour},
		{limited("retry after 2026-99-99 00:00:00 UTC"), time.Hour},
		{&failure{err: limited("")}, time.Hour},
		{&failure{err: fmt.Errorf("x"), refusals: []refusal{{"a", limited("")}}}, time.Hour},
		// Another authority may issue in a minute.
		{&failure{err: fmt.Errorf("x"), refusals: []refusal{{"a", limited("")}, {"b", fmt.Errorf("y")}}}, 0},
		{&failure{err: fmt.Errorf("x"), refusals: []refusal{{"a", limited("retry after 2026-11-24 12:00:00 UTC")}, {"b", limited("retry after 2026-11-23 15:29:00 UTC")}}}, 3*time.Hour + 30*time.Minute},
	} {
		if got := limitedFor(c.err, now); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
