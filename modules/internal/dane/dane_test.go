package dane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A signed certificate with its key.
type signed struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

var serial = big.NewInt(1)

// issue makes a certificate that parent has signed, or that signs itself.
func issue(t *testing.T, parent *signed, change func(*x509.Certificate)) *signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial = new(big.Int).Add(serial, big.NewInt(1))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "mx.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	change(template)
	by := &signed{template, key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signed{c, key}
}

func authority(c *x509.Certificate) {
	c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "authority", true, true
}

func names(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = list }
}

func expired(c *x509.Certificate) {
	c.DNSNames, c.NotAfter = []string{"mx.test"}, time.Now().Add(-time.Minute)
}

// record is what a record of these numbers says of c.
func record(usage, selector, matching uint8, c *signed) appliance.TLSA {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return appliance.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
}

// TestN13Verify: which certificates each kind of record takes.
func TestN13Verify(t *testing.T) {
	root := issue(t, nil, authority)
	sub := issue(t, root, authority)
	leaf := issue(t, sub, names("mx.test"))
	old := issue(t, sub, expired)
	wrong := issue(t, sub, names("other.test"))
	nameless := issue(t, sub, names())
	byDomain := issue(t, sub, names("example.test"))
	wild := issue(t, sub, names("*.test"))
	self := issue(t, nil, names("mx.test"))
	other := issue(t, nil, authority)
	for _, tc := range []struct {
		name    string
		records []appliance.TLSA
		chain   []*signed
		ok      bool
	}{
		{"3 0 0", []appliance.TLSA{record(3, 0, 0, self)}, []*signed{self}, true},
		{"3 0 1", []appliance.TLSA{record(3, 0, 1, self)}, []*signed{self}, true},
		{"3 0 2", []appliance.TLSA{record(3, 0, 2, self)}, []*signed{self}, true},
		{"3 1 0", []appliance.TLSA{record(3, 1, 0, self)}, []*signed{self}, true},
		{"3 1 1", []appliance.TLSA{record(3, 1, 1, self)}, []*signed{self}, true},
		{"3 1 2", []appliance.TLSA{record(3, 1, 2, self)}, []*signed{self}, true},
		{"3 1 1 of another", []appliance.TLSA{record(3, 1, 1, other)}, []*signed{self}, false},
		{"3 1 1 of the authority", []appliance.TLSA{record(3, 1, 1, sub)}, []*signed{leaf, sub}, false},
		{"3 1 1, expired", []appliance.TLSA{record(3, 1, 1, old)}, []*signed{old}, true},
		{"3 1 1, another name", []appliance.TLSA{record(3, 1, 1, wrong)}, []*signed{wrong}, true},
		{"rollover, the old one still serves", []appliance.TLSA{record(3, 1, 1, self), record(3, 1, 1, other)}, []*signed{self}, true},
		{"rollover, the new one serves", []appliance.TLSA{record(3, 1, 1, other), record(3, 1, 1, self)}, []*signed{self}, true},
		{"2 0 1", []appliance.TLSA{record(2, 0, 1, sub)}, []*signed{leaf, sub}, true},
		{"2 1 1 of the root", []appliance.TLSA{record(2, 1, 1, root)}, []*signed{leaf, sub, root}, true},
		{"2 1 2 with a link missing", []appliance.TLSA{record(2, 1, 2, root)}, []*signed{leaf, root}, false},
		{"2 1 1, not shown by the server", []appliance.TLSA{record(2, 1, 1, root)}, []*signed{leaf, sub}, false},
		{"2 0 0, not shown by the server", []appliance.TLSA{record(2, 0, 0, root)}, []*signed{leaf, sub}, true},
		{"2 1 1 of the certificate itself", []appliance.TLSA{record(2, 1, 1, self)}, []*signed{self}, false},
		{"2 1 1, another authority is shown too", []appliance.TLSA{record(2, 1, 1, other)}, []*signed{leaf, sub, other}, false},
		{"2 1 1, expired", []appliance.TLSA{record(2, 1, 1, sub)}, []*signed{old, sub}, false},
		{"2 1 1, another name", []appliance.TLSA{record(2, 1, 1, sub)}, []*signed{wrong, sub}, false},
		{"2 1 1, the recipient's domain", []appliance.TLSA{record(2, 1, 1, sub)}, []*signed{byDomain, sub}, true},
		{"2 1 1, a wildcard", []appliance.TLSA{record(2, 1, 1, sub)}, []*signed{wild, sub}, true},
		{"2 1 1, only a common name", []appliance.TLSA{record(2, 1, 1, sub)}, []*signed{nameless, sub}, true},
		{"no certificate", []appliance.TLSA{record(3, 1, 1, self)}, nil, false},
		{"the stronger digest counts", []appliance.TLSA{record(3, 1, 1, self), record(3, 1, 2, other)}, []*signed{self}, false},
		{"a full record stands beside a digest", []appliance.TLSA{record(3, 1, 0, self), record(3, 1, 2, other)}, []*signed{self}, true},
		{"digests of another usage are none", []appliance.TLSA{record(3, 1, 1, self), record(2, 1, 2, other)}, []*signed{self}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, ok := New(tc.records, "mx.test", "example.test")
			if !ok {
				t.Fatal("not usable")
			}
			var chain []*x509.Certificate
			for _, c := range tc.chain {
				chain = append(chain, c.Certificate)
			}
			err := s.Verify(chain, time.Now())
			if (err == nil) != tc.ok {
				t.Errorf("%v, want it to match: %v", err, tc.ok)
			}
			if err != nil && !errors.Is(err, ErrMismatch) {
				t.Errorf("%v is no ErrMismatch", err)
			}
		})
	}
}

// TestN13Unusable: what strangers write into records and what does not count.
func TestN13Unusable(t *testing.T) {
	digest := bytes.Repeat([]byte{1}, 32)
	for name, r := range map[string]appliance.TLSA{
		"empty":                  {Usage: 3, Selector: 1, MatchingType: 1},
		"three octets":           {Usage: 3, Selector: 1, MatchingType: 1, Data: []byte{1, 2, 3}},
		"empty certificate":      {Usage: 3},
		"three octets of it":     {Usage: 3, Data: []byte{0x30, 1, 2}},
		"no certificate":         {Usage: 2, Data: digest},
		"more than it":           {Usage: 3, Data: []byte{0x30, 1, 2, 3}},
		"PKIX-TA":                {Usage: 0, Selector: 1, MatchingType: 1, Data: digest},
		"PKIX-EE":                {Usage: 1, Selector: 1, MatchingType: 1, Data: digest},
		"PrivCert":               {Usage: 255, Selector: 1, MatchingType: 1, Data: digest},
		"selector 2":             {Usage: 3, Selector: 2, MatchingType: 1, Data: digest},
		"matching type 3":        {Usage: 3, Selector: 1, MatchingType: 3, Data: digest},
		"SHA-256 of 64 octets":   {Usage: 3, Selector: 1, MatchingType: 1, Data: bytes.Repeat(digest, 2)},
		"SHA-512 of 32 octets":   {Usage: 3, Selector: 1, MatchingType: 2, Data: digest},
		"one octet too many":     {Usage: 3, Selector: 1, MatchingType: 1, Data: append(slices.Clone(digest), 1)},
		"PKIX-EE without a data": {Usage: 1},
	} {
		s, ok := New([]appliance.TLSA{r})
		if ok || !s.IsZero() {
			t.Errorf("%s: usable as %s", name, s)
		}
		good := appliance.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: digest}
		with, ok := New([]appliance.TLSA{r, good, good})
		if alone, _ := New([]appliance.TLSA{good}); !ok || with != alone {
			t.Errorf("%s: spoils another record: %s", name, with)
		}
	}
	if _, ok := New(nil); ok {
		t.Error("nothing is usable")
	}
}

// TestSetComparable: equal records make equal sets, in any order; names only
// matter if an authority is among them.
func TestSetComparable(t *testing.T) {
	a, b := issue(t, nil, names("a.test")), issue(t, nil, authority)
	one, _ := New([]appliance.TLSA{record(3, 1, 1, a), record(3, 0, 1, b)}, "mx.test", "one.test")
	two, _ := New([]appliance.TLSA{record(3, 0, 1, b), record(3, 1, 1, a)}, "mx.test", "two.test")
	if one != two {
		t.Errorf("%v and %v differ", one, two)
	}
	three, _ := New([]appliance.TLSA{record(2, 1, 1, b)}, "MX.test.", "one.test")
	four, _ := New([]appliance.TLSA{record(2, 1, 1, b)}, "mx.test", "two.test")
	if three == four {
		t.Error("the names of DANE-TA are forgotten")
	}
	if (Set{}).Verify([]*x509.Certificate{a.Certificate}, time.Now()) == nil {
		t.Error("the zero Set matches")
	}
}

func TestBase(t *testing.T) {
	for _, tc := range []struct {
		host, found string
		want        []string
	}{
		{"mx.test", "mx.test", []string{"mx.test"}},
		{"MX.test.", "", []string{"mx.test"}},
		{"mx.test", "Host.example.", []string{"host.example", "mx.test"}},
	} {
		if got := Base(tc.host, tc.found); !slices.Equal(got, tc.want) {
			t.Errorf("%s, %s: %v, want %v", tc.host, tc.found, got, tc.want)
		}
	}
	if got := RecordName("mx.test", 25); got != "_25._tcp.mx.test" {
		t.Error(got)
	}
}

func FuzzSet(f *testing.F) {
	f.Add(uint8(3), uint8(1), uint8(1), []byte{1, 2, 3})
	f.Add(uint8(2), uint8(0), uint8(0), []byte{0x30, 2, 0x30, 0})
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		s, ok := New([]appliance.TLSA{{Usage: usage, Selector: selector, MatchingType: matching, Data: data}}, "mx.test")
		chain := []*x509.Certificate{{Raw: []byte("a")}, {Raw: []byte("b")}}
		if s.Verify(chain, time.Now()) == nil || ok == s.IsZero() {
			t.Errorf("%v, %v", s, ok)
		}
	})
}
