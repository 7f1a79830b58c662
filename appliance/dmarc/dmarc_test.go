package dmarc

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A zone is a resolver: TXT records by name, without the final dot, and the
// names that have an address. "SERVFAIL" is no answer.
type zone struct {
	txt    map[string][]string
	hosts  []string
	asked  []string
	broken string // the name whose addresses and MX cannot be looked up
}

var (
	missing  = &net.DNSError{Err: "no such host", IsNotFound: true}
	servfail = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
)

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.asked = append(z.asked, name)
	texts := z.txt[strings.TrimSuffix(name, ".")]
	switch {
	case len(texts) == 0:
		return nil, missing
	case texts[0] == "SERVFAIL":
		return nil, servfail
	}
	return texts, nil
}

func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	if z.broken != "" && name == z.broken+"." {
		return nil, servfail
	}
	return nil, missing
}

func (z *zone) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if slices.Contains(z.hosts, strings.TrimSuffix(name, ".")) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	return nil, missing
}

func (z *zone) LookupAddr(context.Context, string) ([]string, error) { return nil, missing }

// records makes a zone of pairs of a domain and its DMARC record.
func records(pairs ...string) *zone {
	z := &zone{txt: make(map[string][]string)}
	for i := 0; i < len(pairs); i += 2 {
		name := "_dmarc." + pairs[i]
		z.txt[name] = append(z.txt[name], pairs[i+1])
	}
	return z
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Record{
		"v=DMARC1; p=none": {Policy: None},
		"v=DMARC1;p=Reject;sp=quarantine;np=reject;adkim=s;aspf=S;fo=d:s;psd=n;t=y;": {
			Policy: Reject, Subdomains: Quarantine, Nonexistent: Reject, ADKIM: Strict, ASPF: Strict, FO: "d:s", PSD: "n", Testing: true},
		"v = DMARC1 ; p = none ; rua = mailto:a@b.test!10m , mailto:c@d.test; ruf=https://x.test/": {
			Policy: None, RUA: []string{"mailto:a@b.test", "mailto:c@d.test"}, RUF: []string{"https://x.test/"}},
		"v=DMARC1; unknown=1; p=reject": {Policy: Reject},
	} {
		got, err := Parse(text)
		if err != nil || len(got.Problems) > 0 || !equal(got, want) || got.Text != text {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func equal(got, want Record) bool {
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	return got.Policy == want.Policy && got.Subdomains == want.Subdomains && got.Nonexistent == want.Nonexistent &&
		string(got.ADKIM) == or(string(want.ADKIM), "r") && string(got.ASPF) == or(string(want.ASPF), "r") &&
		got.FO == or(want.FO, "0") && got.PSD == or(want.PSD, "u") && got.Testing == want.Testing &&
		slices.Equal(got.RUA, want.RUA) && slices.Equal(got.RUF, want.RUF)
}

// TestParseProblems: what is wrong is ignored as RFC 9989 says, and said.
func TestParseProblems(t *testing.T) {
	for text, tc := range map[string]struct {
		policy  Disposition
		problem string
	}{
		"v=DMARC1; rua=mailto:a@b.test": {None, "there is no p=|as if it said p=none"},
		"v=DMARC1":                      {"", "there is no p=|receivers ignore the record"},
		"v=DMARC1; p=nothing":           {"", "p=nothing is ignored|receivers ignore the record"},
		"v=DMARC1; p=reject; sp=x; rua=mailto:a@b.test":       {None, "sp=x is ignored|as if it said p=none"},
		"v=DMARC1; p=reject; np=x":                            {"", "np=x is ignored|receivers ignore the record"},
		"v=DMARC1; p=reject; p=none":                          {Reject, "p= is there twice"},
		"v=DMARC1; p=reject; garbage; adkim=x":                {Reject, `"garbage" is no tag|adkim=x is ignored: it has to be one of r, s`},
		"v=DMARC1; p=reject; pct=50; ri=1":                    {Reject, "pct= has been taken out|ri= has been taken out"},
		"v=DMARC1; p=reject; rua=a@b.test":                    {Reject, "write mailto: before the address"},
		"v=DMARC1; p=reject; rua=mailto:nobody; psd=x; fo=12": {Reject, "holds no mail address|psd=x is ignored|fo=12 is ignored"},
		"v=DMARC1; p=reject; t=1":                             {Reject, "t=1 is ignored: it has to be one of y, n"},
	} {
		r, err := Parse(text)
		if err != nil || r.Policy != tc.policy {
			t.Errorf("%s: %q, %v", text, r.Policy, err)
		}
		if want := strings.Split(tc.problem, "|"); len(r.Problems) != len(want) {
			t.Errorf("%s: %q", text, r.Problems)
		} else {
			for i, w := range want {
				if !strings.Contains(r.Problems[i], w) {
					t.Errorf("%s: %q, want %s", text, r.Problems[i], w)
				}
			}
		}
	}
	for _, text := range []string{"", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC12; p=none", "V=DMARC1; p=none", "v=spf1 -all"} {
		if r, err := Parse(text); err == nil {
			t.Errorf("%q: %+v", text, r)
		}
	}
}

// TestTargets: the example of RFC 9989, section 4.10, and one that is short.
func TestTargets(t *testing.T) {
	for domain, want := range map[string]string{
		"a.b.c.d.e.f.g.h.i.j.mail.example.com": "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com " +
			"h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
		"a.mail.example.com": "a.mail.example.com mail.example.com example.com com",
		"com":                "com",
	} {
		if got := strings.Join(targets(domain), " "); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

// TestOrganizationalDomain: the examples of RFC 9989, section 4.10.2, and its
// rules.
func TestOrganizationalDomain(t *testing.T) {
	const plain = "v=DMARC1; p=none"
	for name, tc := range map[string]struct {
		zone         *zone
		domain, want string
		queries      int
	}{
		"the shortest":                {records("mail.example.com", plain, "example.com", plain), "a.mail.example.com", "example.com", 4},
		"psd=n":                       {records("mail.example.com", plain+";psd=n", "example.com", plain), "a.mail.example.com", "mail.example.com", 2},
		"psd=y":                       {records("com", plain+";psd=y"), "a.mail.example.com", "example.com", 4},
		"psd=y and one below":         {records("mail.example.com", plain, "com", plain+";psd=y"), "a.mail.example.com", "example.com", 4},
		"psd=y where it starts":       {records("bank", plain+";psd=y"), "bank", "bank", 1},
		"psd=y ends it there":         {records("a.example.com", plain+";psd=y", "example.com", plain), "a.example.com", "a.example.com", 1},
		"nothing":                     {records(), "a.Example.COM.", "a.example.com", 3},
		"several are none":            {records("example.com", plain, "example.com", plain), "a.example.com", "a.example.com", 3},
		"only the longest":            {records("a.mail.example.com", plain), "a.mail.example.com", "a.mail.example.com", 4},
		"no more than eight":          {records("com", plain), "a.b.c.d.e.f.g.h.i.com", "com", 8},
		"no record for what is ahead": {records("b.c.d.e.f.g.h.i.com", plain), "a.b.c.d.e.f.g.h.i.com", "a.b.c.d.e.f.g.h.i.com", 8},
	} {
		got, err := OrganizationalDomain(t.Context(), tc.zone, tc.domain)
		if err != nil || got != tc.want || len(tc.zone.asked) != tc.queries {
			t.Errorf("%s: %s, %v; want %s; asked %v", name, got, err, tc.want, tc.zone.asked)
		}
	}
	if _, err := OrganizationalDomain(t.Context(), records("com", "SERVFAIL"), "example.com"); err == nil || !strings.Contains(err.Error(), "_dmarc.com cannot be looked up") {
		t.Error(err)
	}
	if _, err := OrganizationalDomain(t.Context(), records(), "[192.0.2.1]"); err == nil {
		t.Error("an address is a domain")
	}
}

// TestFind: RFC 9989, section 4.10.1.
func TestFind(t *testing.T) {
	const org = "v=DMARC1; p=reject; sp=quarantine; np=none"
	for name, tc := range map[string]struct {
		zone   *zone
		hosts  string
		domain string
		want   string // whose, the tag and what it asks for
	}{
		"its own":              {records("example.com", org), "", "example.com", "example.com p reject"},
		"a subdomain":          {records("example.com", org), "a.example.com", "a.example.com", "example.com sp quarantine"},
		"one that is not":      {records("example.com", org), "", "a.example.com", "example.com np none"},
		"without np":           {records("example.com", "v=DMARC1; p=reject; sp=none"), "", "a.example.com", "example.com sp none"},
		"without sp":           {records("example.com", "v=DMARC1; p=reject"), "", "a.example.com", "example.com p reject"},
		"the suffix":           {records("bank", "v=DMARC1; p=reject; psd=y; np=reject"), "", "a.b.bank", "bank np reject"},
		"the organization's":   {records("b.bank", "v=DMARC1; p=none", "bank", "v=DMARC1; p=reject; psd=y"), "", "a.b.bank", "b.bank p none"},
		"none":                 {records(), "", "example.com", "  "},
		"one without effect":   {records("example.com", "v=DMARC1"), "", "example.com", "example.com p "},
		"several at the name":  {records("a.example.com", org, "a.example.com", org, "example.com", org), "a.example.com", "a.example.com", "example.com sp quarantine"},
		"capitals and the dot": {records("example.com", org), "", "EXAMPLE.com.", "example.com p reject"},
	} {
		tc.zone.hosts = []string{tc.hosts}
		p, err := Find(t.Context(), tc.zone, tc.domain)
		if got := p.Domain + " " + p.Tag + " " + string(p.Request); err != nil || got != tc.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, tc.want)
		}
	}
	for _, z := range []*zone{records("a.example.com", "SERVFAIL"), records("example.com", "SERVFAIL"), {broken: "a.example.com", txt: records("example.com", org).txt}} {
		if p, err := Find(t.Context(), z, "a.example.com"); err == nil {
			t.Errorf("%+v", p)
		}
	}
}

// TestEvaluate: what a receiver makes of a message, and the words for it. The
// first are the examples of RFC 9989, appendix B.1.
func TestEvaluate(t *testing.T) {
	const example = "v=DMARC1; p=reject"
	pass := func(d string) Identifier { return Identifier{d, "pass"} }
	dkim := func(ids ...Identifier) []Identifier { return ids }
	for name, tc := range map[string]struct {
		record string // of example.com
		in     Input
		want   string // the result and the disposition
		why    string
	}{
		"B.1.1 SPF, the same":        {example, Input{From: "example.com", SPF: pass("example.com")}, "pass none", "SPF of example.com passed"},
		"B.1.1 SPF, the parent":      {example, Input{From: "child.example.com", SPF: pass("example.com")}, "pass none", "aligned with child.example.com"},
		"B.1.1 the parent, strict":   {example + ";aspf=s", Input{From: "child.example.com", SPF: pass("example.com")}, "fail reject", "strict: it has to be the same domain"},
		"B.1.1 SPF, another":         {example, Input{From: "child.example.com", SPF: pass("example.net")}, "fail reject", "SPF of example.net is not aligned (relaxed"},
		"B.1.2 DKIM, the same":       {example, Input{From: "example.com", DKIM: dkim(pass("example.com"))}, "pass none", "DKIM of example.com passed"},
		"B.1.2 DKIM, the parent":     {example, Input{From: "child.example.com", DKIM: dkim(pass("example.com"))}, "pass none", "DKIM of example.com"},
		"B.1.2 DKIM, another":        {example, Input{From: "child.example.com", DKIM: dkim(pass("sample.net"))}, "fail reject", "p=reject of _dmarc.example.com counts"},
		"DKIM, a subdomain":          {example, Input{From: "example.com", DKIM: dkim(pass("a.example.com"))}, "pass none", ""},
		"DKIM, a subdomain, strict":  {example + ";adkim=s", Input{From: "example.com", DKIM: dkim(pass("a.example.com"))}, "fail reject", "DKIM of a.example.com is not aligned"},
		"capitals":                   {example + ";adkim=s", Input{From: "Example.com", DKIM: dkim(pass("EXAMPLE.com."))}, "pass none", ""},
		"both":                       {example, Input{From: "example.com", SPF: pass("example.com"), DKIM: dkim(pass("example.com"))}, "pass none", "SPF of example.com and DKIM of example.com passed"},
		"SPF fails, DKIM passes":     {example, Input{From: "example.com", SPF: Identifier{"example.com", "fail"}, DKIM: dkim(pass("x.test"), pass("example.com"))}, "pass none", ""},
		"nothing":                    {example, Input{From: "example.com"}, "fail reject", "there is neither SPF nor DKIM"},
		"all fail":                   {example, Input{From: "example.com", SPF: Identifier{"example.com", "softfail"}, DKIM: dkim(Identifier{"example.com", "fail"})}, "fail reject", "SPF of example.com is softfail, DKIM of example.com is fail"},
		"testing":                    {example + ";t=y", Input{From: "example.com"}, "fail quarantine", "p=reject of _dmarc.example.com counts, of which t=y makes quarantine"},
		"testing quarantine":         {"v=DMARC1;p=quarantine;t=y", Input{From: "example.com"}, "fail none", "t=y makes none"},
		"testing none":               {"v=DMARC1;p=none;t=y", Input{From: "example.com"}, "fail none", "p=none of _dmarc.example.com counts"},
		"quarantine":                 {"v=DMARC1;p=quarantine", Input{From: "example.com"}, "fail quarantine", "p=quarantine"},
		"no record":                  {"", Input{From: "example.com", SPF: pass("example.com")}, "none none", "there is no DMARC record at _dmarc.example.com"},
		"a record without effect":    {"v=DMARC1; p=x", Input{From: "example.com"}, "none none", "p=x is ignored"},
		"no DMARC record":            {"hello", Input{From: "example.com"}, "none none", "is no DMARC record"},
		"the DNS fails":              {"SERVFAIL", Input{From: "example.com"}, "temperror none", "cannot be looked up"},
		"SPF has failed for now":     {example, Input{From: "example.com", SPF: Identifier{"example.com", "temperror"}}, "temperror none", "SPF of example.com could not be checked"},
		"for now, but not aligned":   {example, Input{From: "example.com", SPF: Identifier{"x.com", "temperror"}}, "fail reject", ""},
		"SPF for now, but DKIM is":   {example, Input{From: "example.com", SPF: Identifier{"example.com", "temperror"}, DKIM: dkim(pass("example.com"))}, "pass none", ""},
		"alignment is not known":     {example, Input{From: "example.com", DKIM: dkim(pass("down.com"))}, "temperror none", "_dmarc.down.com cannot be looked up"},
		"From is an address literal": {example, Input{From: "[192.0.2.1]"}, "permerror none", "names no domain"},
	} {
		z := records("example.net", example, "sample.net", example, "down.com", "SERVFAIL")
		if tc.record != "" {
			z.txt["_dmarc.example.com"] = []string{tc.record}
		}
		e := Evaluate(t.Context(), z, tc.in)
		if got := string(e.Result) + " " + string(e.Disposition); got != tc.want || !strings.Contains(e.Why, tc.why) || e.Why == "" {
			t.Errorf("%s: %s (%s); want %s (%s)", name, got, e.Why, tc.want, tc.why)
		}
		if (len(e.Aligned) > 0) != (e.Result == ResultPass) {
			t.Errorf("%s: %s, aligned: %q", name, e.Result, e.Aligned)
		}
	}
}

// TestH11Bounded: a message costs a bounded number of questions.
func TestH11Bounded(t *testing.T) {
	long := strings.Repeat("a.", 100) + "com"
	z := records("com", "v=DMARC1; p=reject")
	in := Input{From: long, SPF: Identifier{"b." + long, "pass"}}
	for range 100 {
		in.DKIM = append(in.DKIM, Identifier{"c." + long, "pass"})
	}
	if e := Evaluate(t.Context(), z, in); e.Result != ResultPass {
		t.Errorf("%+v", e)
	}
	if n := len(z.asked); n > 2*maxQueries*(maxIdentifiers+2) {
		t.Errorf("%d questions", n)
	}
}

func TestReportProblems(t *testing.T) {
	z := records("example.com", "v=DMARC1; p=none")
	z.txt["example.com._report._dmarc.yes.net"] = []string{"v=DMARC1"}
	z.txt["example.com._report._dmarc.text.net"] = []string{"hello"}
	z.txt["example.com._report._dmarc.down.net"] = []string{"SERVFAIL"}
	for uri, want := range map[string]string{
		"mailto:a@example.com":                     "",
		"mailto:a@reports.example.com":             "",
		"mailto:a@yes.net":                         "",
		"https://no.net/":                          "",
		"mailto:a@no.net,mailto:b@no.net":          "no record at example.com._report._dmarc.no.net",
		"mailto:a@text.net":                        "text.net, which has not agreed",
		"mailto:a@down.net":                        "cannot be looked up",
		"mailto:a%2Bb@no.net?subject=x":            "no.net",
		"mailto:a@yes.net,mailto:a@reports.no.net": "reports.no.net",
	} {
		r, err := Parse("v=DMARC1; p=none; rua=" + uri)
		if err != nil || len(r.Problems) > 0 {
			t.Fatal(uri, err, r.Problems)
		}
		all := ReportProblems(t.Context(), z, "example.com", r)
		switch {
		case want == "" && len(all) == 0:
		case want == "" || len(all) != 1 || !strings.Contains(all[0].Text, want) || all[0].Fix == "" || all[0].Temporary != strings.Contains(uri, "down"):
			t.Errorf("%s: %+v, want %s", uri, all, want)
		}
	}
}

// FuzzParse: a record that is read asks for something receivers know, and what
// it is made of can be used.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=none; rua=mailto:a@b.test!10m,mailto:c@d.test; fo=d:s", "v=DMARC1;sp=reject;np=x;adkim=s;;=;a", "v=DMARC1;psd=y;t=y;p=reject;pct=5", "v=DMARC1; p=none; rua=mailto:%zz,://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		for _, d := range []Disposition{r.Policy, r.Subdomains, r.Nonexistent} {
			if d != "" && !d.valid() {
				t.Errorf("%q", d)
			}
		}
		if r.Policy == "" && len(r.Problems) == 0 {
			t.Error("no effect and no reason")
		}
		for _, uri := range slices.Concat(r.RUA, r.RUF) {
			if checkURI(uri) != nil {
				t.Errorf("%q", uri)
			}
		}
		if len(r.RUA) > maxURIs || len(r.RUF) > maxURIs {
			t.Error("too many addresses")
		}
		Evaluate(t.Context(), records("example.com", text), Input{From: "a.example.com", SPF: Identifier{"example.com", "pass"}})
	})
}
