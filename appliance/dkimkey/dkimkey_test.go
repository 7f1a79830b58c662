package dkimkey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// rsaKey makes a public key of a number of bits that is like no other of
// another seed. Nobody has the private key.
func rsaKey(bits int, seed int64) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(seed|1<<20), uint(bits-21))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(seed)), E: 65537}
}

var (
	ours  = rsaKey(2048, 1)
	other = rsaKey(2048, 99)
	edKey = ed25519.PublicKey(slices.Repeat([]byte{7}, ed25519.PublicKeySize))
)

// value is p= of a key.
func value(key crypto.PublicKey) string { return published(key) }

// TestParse: RFC 6376, section 3.6.1 as a table.
func TestParse(t *testing.T) {
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(ours))
	for name, tc := range map[string]struct {
		text string
		want Record
	}{
		"usual":           {"v=DKIM1; k=rsa; p=" + value(ours), Record{Version: "DKIM1", Kind: RSA, Key: ours}},
		"least":           {"p=" + value(ours), Record{Kind: RSA, Key: ours}},
		"PKCS #1":         {"p=" + pkcs1, Record{Kind: RSA, Key: ours}},
		"ed25519":         {"v=DKIM1; k=ed25519; p=" + value(edKey), Record{Version: "DKIM1", Kind: Ed25519, Key: edKey}},
		"capitals in k":   {"v=DKIM1; k=RSA; p=" + value(ours), Record{Version: "DKIM1", Kind: RSA, Key: ours}},
		"split":           {"v=DKIM1; p=" + value(ours)[:200] + " \r\n\t" + value(ours)[200:], Record{Version: "DKIM1", Kind: RSA, Key: ours}},
		"semicolon":       {"v=DKIM1;p=" + value(ours) + ";", Record{Version: "DKIM1", Kind: RSA, Key: ours}},
		"revoked":         {"v=DKIM1; p=", Record{Version: "DKIM1", Kind: RSA, Revoked: true}},
		"revoked, spaces": {"v=DKIM1; p= ;", Record{Version: "DKIM1", Kind: RSA, Revoked: true}},
		"testing":         {"p=" + value(ours) + "; t=y", Record{Kind: RSA, Key: ours, Flags: []string{"y"}}},
		"both flags":      {"t=y : s : z; p=" + value(ours), Record{Kind: RSA, Key: ours, Flags: []string{"y", "s", "z"}}},
		"hashes":          {"h=sha1:SHA256; p=" + value(ours), Record{Kind: RSA, Key: ours, Hashes: []string{"sha1", "sha256"}}},
		"services":        {"s=email:other; p=" + value(ours), Record{Kind: RSA, Key: ours, Services: []string{"email", "other"}}},
		"any service":     {"s=other:*; p=" + value(ours), Record{Kind: RSA, Key: ours}},
		"notes":           {"n=grün; p=" + value(ours), Record{Kind: RSA, Key: ours, Notes: "grün"}},
		"unknown tags":    {"g=*; x=y; p=" + value(ours), Record{Kind: RSA, Key: ours}},
		"unknown kind":    {"k=mldsa; p=Zm9v", Record{Kind: "mldsa"}},
		"too short":       {"p=" + value(rsaKey(512, 1)), Record{Kind: RSA, Key: rsaKey(512, 1)}},
	} {
		got, err := Parse(tc.text)
		if err != nil || !same(got, tc.want) || got.Text != tc.text {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
}

func same(a, b Record) bool {
	keys := a.Key == nil && b.Key == nil || sameKey(a.Key, b.Key)
	return keys && a.Version == b.Version && a.Kind == b.Kind && a.Notes == b.Notes && a.Revoked == b.Revoked &&
		slices.Equal(a.Hashes, b.Hashes) && slices.Equal(a.Services, b.Services) && slices.Equal(a.Flags, b.Flags)
}

func TestParseMalformed(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "no p=",
		"v=DKIM1; k=rsa":                       "no p=",
		"v=DKIM2; p=" + value(ours):            `v=DKIM2 is not "DKIM1"`,
		"v=dkim1; p=" + value(ours):            `v=dkim1 is not "DKIM1"`,
		"p=" + value(ours) + "; v=DKIM1":       "first tag",
		"v=DKIM1; p=" + value(ours) + "; p=":   "p= is there twice",
		"v=DKIM1; p=" + value(ours)[:100]:      "no RSA key",
		`v=DKIM1; p="` + value(ours) + `"`:     "not base64",
		"v=DKIM1; p=Zm9v":                      "no RSA key",
		"v=DKIM1; p=" + value(ours)[:201]:      "not base64",
		"v=DKIM1; k=ed25519; p=" + value(ours): "294 octets",
		"v=DKIM1; k=rsa; p=MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=": "another kind",
		"v=DKIM1; k=rsa; p=" + value(rsaKey(20000, 1)):                                   "20000 bits",
		"v=spf1 -all":                    `v=spf1 -all is not "DKIM1"`,
		"v=DKIM1 k=rsa p=" + value(ours): "is not",
		"v=DKIM1;; p=":                   "nothing between",
	} {
		r, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50q: %+v, %v; want %s", text, r, err, want)
		}
	}
}

func TestChoose(t *testing.T) {
	key, ed := Text(ours), Text(edKey)
	for name, tc := range map[string]struct {
		texts []string
		want  string // of the error
	}{
		"one":                      {[]string{key}, ""},
		"text beside it":           {[]string{"google-site-verification=x", key, "hello"}, ""},
		"none":                     {nil, "there is no TXT record"},
		"text":                     {[]string{"hello", "v=spf1 -all"}, `none of the 2 texts there is a key: "hello"`},
		"two":                      {[]string{key, ed}, "there are 2 keys at one name"},
		"the same twice":           {[]string{key, key}, "there are 2 keys at one name"},
		"a broken one":             {[]string{"v=DKIM1; p=!"}, "cannot be read: p= is not base64"},
		"a broken one beside it":   {[]string{key, "k=rsa; p=!"}, "a second one that cannot be read"},
		"split over two records":   {[]string{key[:200], key[200:]}, "cannot be read: p= is not base64"},
		"a broken one, no version": {[]string{"t=s; p=!"}, "cannot be read"},
	} {
		r, err := Choose(tc.texts)
		switch {
		case tc.want == "" && (err != nil || !sameKey(r.Key, ours)):
			t.Errorf("%s: %+v, %v", name, r, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// TestCompare: each thing that keeps signatures from being valid is a problem
// that names the tag, and has a fix.
func TestCompare(t *testing.T) {
	for text, tc := range map[string]struct {
		pub  crypto.PublicKey
		want []Problem // Text: what has to be in it
	}{
		Text(ours):                              {ours, nil},
		Text(edKey):                             {edKey, nil},
		"v=DKIM1; p=":                           {ours, []Problem{{Severity: Fail, Text: "p= is empty: the key is revoked"}}},
		Text(other):                             {ours, []Problem{{Severity: Fail, Text: "another key"}}},
		Text(ours) + ";n=0":                     {edKey, []Problem{{Severity: Fail, Text: "k=rsa is published, but signatures are made with an Ed25519 key"}}},
		"k=mldsa; p=Zm9v":                       {ours, []Problem{{Severity: Fail, Text: "k=mldsa is published"}}},
		Text(rsaKey(512, 1)):                    {rsaKey(512, 1), []Problem{{Severity: Fail, Text: "has 512 bits"}}},
		Text(rsaKey(1023, 1)):                   {rsaKey(1023, 1), []Problem{{Severity: Fail, Text: "has 1023 bits"}}},
		Text(rsaKey(1024, 1)):                   {rsaKey(1024, 1), []Problem{{Severity: Warn, Text: "has 1024 bits; it should have 2048"}}},
		Text(ours) + "; t=y":                    {ours, []Problem{{Severity: Warn, Text: "t=y"}}},
		Text(ours) + "; t=s":                    {ours, []Problem{{Severity: Note, Text: "t=s"}}},
		Text(ours) + "; h=sha1":                 {ours, []Problem{{Severity: Fail, Text: "h=sha1 does not allow sha256"}}},
		Text(ours) + "; h=sha1:sha256":          {ours, nil},
		Text(ours) + "; s=tlsrpt":               {ours, []Problem{{Severity: Fail, Text: "s=tlsrpt does not allow mail"}}},
		Text(ours) + "; s=email":                {ours, nil},
		Text(rsaKey(1024, 1)) + "; t=s:y; s=ab": {rsaKey(1024, 1), []Problem{{Severity: Fail, Text: "s="}, {Severity: Warn, Text: "bits"}, {Severity: Warn, Text: "t=y"}, {Severity: Note, Text: "t=s"}}},
	} {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		got := r.Compare(tc.pub)
		if len(got) != len(tc.want) {
			t.Errorf("%.60s: %q, want %q", text, got, tc.want)
			continue
		}
		for i, p := range got {
			if w := tc.want[i]; p.Severity != w.Severity || !strings.Contains(p.Text, w.Text) || (p.Fix == "") != (p.Severity == Note) {
				t.Errorf("%.60s: %q, want %q", text, p, w)
			}
		}
	}
}

// TestAnotherKey: the words show where two keys begin to differ, which with RSA
// is after a header that all keys have.
func TestAnotherKey(t *testing.T) {
	r, _ := Parse(Text(other))
	p := r.Compare(ours)[0]
	a, b, ok := strings.Cut(p.Text, " and not with ")
	_, a, _ = strings.Cut(a, "begins with ")
	if !ok || a == b || !strings.HasPrefix(value(other), strings.TrimSuffix(a, "…")) || !strings.HasPrefix(value(ours), strings.TrimSuffix(b, "…")) {
		t.Errorf("%q", p.Text)
	}
	if !strings.HasSuffix(p.Fix, Text(ours)) {
		t.Errorf("%q", p.Fix)
	}
}

func TestDescribe(t *testing.T) {
	for text, want := range map[string]string{
		Text(ours):        "an RSA key of 2048 bits",
		Text(edKey):       "an Ed25519 key",
		"p=":              "a revoked key",
		"k=mldsa; p=Zm9v": `a key of the unknown kind "mldsa"`,
	} {
		if r, err := Parse(text); err != nil || r.Describe() != want {
			t.Errorf("%.30s: %s, %v; want %s", text, r.Describe(), err, want)
		}
	}
}

// FuzzParse: what is read is a revoked key, a key that is written as a record
// that is read as the same key, or none of a known kind. Comparing never
// panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{Text(ours), Text(edKey), "v=DKIM1; p=", "k=x; p=!; t=y:s", "h=sha1:sha256;s=*;n=a;p=" + value(rsaKey(1024, 3))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if r.Revoked && r.Key != nil || r.Key != nil && Kind(r.Key) != r.Kind {
			t.Fatalf("%+v", r)
		}
		r.Compare(ours)
		if _, err := Choose([]string{text, "x"}); err != nil {
			t.Errorf("%q is read, but not chosen: %v", text, err)
		}
		if r.Key == nil {
			return
		}
		again, err := Parse(Text(r.Key))
		if err != nil || !sameKey(again.Key, r.Key) {
			t.Errorf("%q is %+v, %v", Text(r.Key), again, err)
		}
	})
}
