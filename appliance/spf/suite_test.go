package spf

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/waxwing-mail/waxwing/appliance"
)

// suiteFile is the test suite of RFC 7208, of the project OpenSPF, as Debian's
// package python3-spf has it.
const suiteFile = "/usr/share/doc/python3-spf/rfc7208-tests.yml.gz"

// A chapter is one document of the suite.
type chapter struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, MailFrom string
		Result               wordOrWords
	}
	ZoneData map[string]zone
}

type wordOrWords []string

func (w *wordOrWords) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = []string{n.Value}
		return nil
	}
	return n.Decode((*[]string)(w))
}

// A zone is what there is at a name: a list of TYPE: value, or TIMEOUT.
type zone []yaml.Node

// deviations are the cases that come out otherwise, and why. The package
// comment tells of them.
var deviations = map[string]Verdict{
	// The library takes what is behind the slash in a:foo:bar/baz.example.com
	// for a prefix. No host has such a name.
	"A_mechanism_syntax/a-colon-domain":             PermError,
	"A_mechanism_syntax/a-colon-domain-ip4mapped":   PermError,
	"MX_mechanism_syntax/mx-colon-domain":           PermError,
	"MX_mechanism_syntax/mx-colon-domain-ip4mapped": PermError,
	// %{p} stands for "unknown", as section 7.3 allows: it "SHOULD NOT be used".
	"Macro_expansion_rules/p-macro-multiple": Neutral,
}

func TestRFC7208Suite(t *testing.T) {
	f, err := os.Open(suiteFile)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("the suite is in Debian's package python3-spf")
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for d := yaml.NewDecoder(z); ; {
		var c chapter
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, c.ZoneData)
		for name, tt := range c.Tests {
			cases++
			name = strings.ReplaceAll(c.Description+"/"+name, " ", "_")
			t.Run(name, func(t *testing.T) {
				w.asked = 0
				local, domain, _ := strings.Cut(tt.MailFrom, "@")
				r := Check(t.Context(), w, Query{IP: netip.MustParseAddr(tt.Host), HELO: tt.Helo, From: appliance.Mailbox{Local: local, Domain: domain}})
				if other, ok := deviations[name]; ok {
					tt.Result = []string{string(other)}
				}
				if !slices.Contains(tt.Result, string(r.Result)) {
					t.Errorf("%s, want %s: %s", r.Result, tt.Result, r.Problem)
				}
				if r.Result != Pass && r.Problem == "" || r.Result != Pass && r.Result != TempError && r.Fix == "" {
					t.Errorf("%s without words: %+v", r.Result, r)
				}
				if w.asked > maxQuestions {
					t.Errorf("%d questions were asked", w.asked)
				}
			})
		}
	}
	if cases < 203 {
		t.Errorf("the suite has %d cases", cases)
	}
}

// A world is the DNS of a chapter.
type world struct {
	records map[string]map[string][]string // by name and type
	silent  map[string]bool                // names whose other types time out
	asked   int
}

func newWorld(t *testing.T, names map[string]zone) *world {
	w := &world{records: make(map[string]map[string][]string), silent: make(map[string]bool)}
	for name, z := range names {
		name = strings.ToLower(name)
		records := make(map[string][]string)
		for _, n := range z {
			if n.Kind == yaml.ScalarNode {
				w.silent[name] = true
				continue
			}
			typ, value := n.Content[0].Value, n.Content[1]
			parts := []string{value.Value}
			if value.Kind == yaml.SequenceNode {
				parts = nil
				for _, p := range value.Content {
					parts = append(parts, p.Value)
				}
			}
			switch text := strings.Join(parts, ""); typ {
			case "MX":
				records[typ] = append(records[typ], strings.Join(parts, " "))
			default:
				records[typ] = append(records[typ], text)
			}
		}
		// "Other sections rely on auto-magic duplication of SPF to TXT records."
		if len(records["TXT"]) == 0 {
			records["TXT"] = records["SPF"]
		}
		records["TXT"] = slices.DeleteFunc(slices.Clone(records["TXT"]), func(s string) bool { return s == "NONE" })
		w.records[name] = records
	}
	if len(w.records) == 0 {
		t.Fatal("no zone data")
	}
	return w
}

// get answers a question, by way of aliases.
func (w *world) get(typ, name string) ([]string, error) {
	w.asked++
	name = canonical(name)
	for range 5 {
		records, ok := w.records[name]
		switch {
		case !ok:
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		case len(records[typ]) > 0:
			return records[typ], nil
		case len(records["CNAME"]) > 0:
			name = canonical(records["CNAME"][0])
			continue
		case w.silent[name]:
			return nil, &net.DNSError{Err: "time-out", Name: name, IsTimeout: true, IsTemporary: true}
		}
		return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	}
	return nil, &net.DNSError{Err: "too many aliases", Name: name, IsTemporary: true}
}

func (w *world) LookupTXT(_ context.Context, name string) ([]string, error) {
	return w.get("TXT", name)
}

func (w *world) LookupMX(_ context.Context, name string) (all []*net.MX, err error) {
	records, err := w.get("MX", name)
	for _, r := range records {
		pref, host, _ := strings.Cut(r, " ")
		n, err := strconv.Atoi(pref)
		if err != nil {
			return nil, err
		}
		all = append(all, &net.MX{Host: host + ".", Pref: uint16(n)})
	}
	return all, err
}

func (w *world) LookupNetIP(_ context.Context, _, name string) (all []netip.Addr, err error) {
	for _, typ := range []string{"A", "AAAA"} {
		records, failed := w.get(typ, name)
		for _, r := range records {
			all = append(all, netip.MustParseAddr(r))
		}
		if failed != nil && (err == nil || notFound(err)) {
			err = failed
		}
	}
	if len(all) > 0 {
		err = nil
	}
	return all, err
}

func (w *world) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return w.get("PTR", reverse(netip.MustParseAddr(addr)))
}

// reverse is the name of an address in the DNS.
func reverse(ip netip.Addr) string {
	var labels []string
	if ip.Is4() {
		for _, b := range ip.As4() {
			labels = append(labels, strconv.Itoa(int(b)))
		}
		slices.Reverse(labels)
		return strings.Join(labels, ".") + ".in-addr.arpa"
	}
	for _, b := range ip.As16() {
		labels = append(labels, strconv.FormatInt(int64(b>>4), 16), strconv.FormatInt(int64(b&15), 16))
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".") + ".ip6.arpa"
}
