package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s", file, got)
	}
}

var (
	byDANE = Policy{Type: TypeTLSA, Domain: "mx.b.test", String: []string{"3 1 1 aa", "3 1 1 bb"}}
	bySTS  = Policy{Type: TypeSTS, Domain: "b.test", String: []string{"version: STSv1", "mode: testing", "mx: *.b.test", "max_age: 86400"}, MX: []string{"*.b.test"}}
	byNone = Policy{Type: TypeNone, Domain: "b.test"}
)

func box(s string) appliance.Mailbox {
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		panic(err)
	}
	return m
}

func exampleReport() *report {
	all := make(tally)
	for range 3 {
		all.add("b.test", bySTS, nil)
	}
	expired := &Failure{Type: "certificate-expired", SendingIP: "203.0.113.7", Host: "mx.b.test", IP: "198.51.100.2"}
	all.add("b.test", bySTS, expired)
	all.add("b.test", bySTS, expired)
	all.add("b.test", bySTS, &Failure{Type: "validation-failure", Host: "mx2.b.test", IP: "198.51.100.3", Reason: "tls: handshake failure"})
	all.add("b.test", byDANE, &Failure{Type: DNSSECInvalid, Host: "mx.b.test"})
	all.add("b.test", byNone, nil)
	return &report{
		Organization: "Example Ltd.", Contact: "postmaster@example.com", Submitter: "example.com", Instance: "internet",
		Domain: "b.test", Day: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Results: all["b.test"],
	}
}

// TestReportJSON is the document of RFC 8460, section 4.4.
func TestReportJSON(t *testing.T) {
	text, err := exampleReport().json()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", append(text, '\n'))
}

// TestLetter is the message of section 5.3: what its parts say, and that they
// can be read by others.
func TestLetter(t *testing.T) {
	r := exampleReport()
	l := &letter{report: r, to: box("reports@b.test"), now: time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC), bytes: []byte("compressed, for the golden file")}
	h := l.header()
	golden(t, "letter.eml", append(h.Bytes(), l.body()...))

	var err error
	if l.bytes, err = r.compressed(); err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(append(h.Bytes(), l.body()...)))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Errorf("%s %v, %v", kind, params, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	p, err := parts.NextPart()
	if err != nil || p.FileName() != "example.com!b.test!1795392000!1795478399!internet.json.gz" {
		t.Fatalf("%v, %v", p, err)
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if want, _ := r.json(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s, %v", got, err)
	}
	if env := l.envelope(); !env.From.IsNull() || env.Recipients[0].Mailbox != l.to || !IsReport(&h) {
		t.Errorf("%+v", env)
	}
	for line := range strings.SplitSeq(string(h.Bytes())+string(l.body()), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
}

// TestTallyBounds: everything has an end, and what is over it is counted.
func TestTallyBounds(t *testing.T) {
	all := make(tally)
	for i := range maxDetails + 40 {
		all.add("b.test", bySTS, &Failure{Type: "certificate-expired", Host: fmt.Sprintf("mx%d.b.test", i)})
		all.add("b.test", bySTS, &Failure{Type: "validation-failure", Host: "mx.b.test", Reason: strings.Repeat("é", i*10)})
	}
	r := all["b.test"][0]
	sessions := 0
	for _, f := range r.Failures {
		sessions += f.Sessions
		if len(f.Reason) > maxText {
			t.Errorf("a reason of %d octets", len(f.Reason))
		}
	}
	if want := 2 * (maxDetails + 40); r.Summary.Failed != want || sessions != want || len(r.Failures) > maxDetails+2 {
		t.Errorf("%d failed, %d in %d details; want %d", r.Summary.Failed, sessions, len(r.Failures), want)
	}
	for i := range maxPolicies + 5 {
		if ok := all.add("c.test", Policy{Type: TypeTLSA, Domain: fmt.Sprint(i)}, nil); ok != (i < maxPolicies) {
			t.Errorf("policy %d: %v", i, ok)
		}
	}
	huge := Policy{Type: TypeSTS, MX: make([]string, 5000)}
	if all.add("d.test", huge, nil); len(all["d.test"][0].Policy.MX) != maxLines {
		t.Errorf("%d patterns", len(all["d.test"][0].Policy.MX))
	}
	for i := range maxDomains + 10 {
		all.add(fmt.Sprintf("d%d.test", i), byNone, nil)
	}
	if len(all) != maxDomains || !all.add("b.test", bySTS, nil) {
		t.Errorf("%d domains", len(all))
	}
}

// TestMerge: what several processes counted is one report, however it went
// through the store.
func TestMerge(t *testing.T) {
	all := make(tally)
	for range 2 {
		b, err := json.Marshal(tally{"b.test": exampleReport().Results, "c.test": {nil}})
		if err != nil {
			t.Fatal(err)
		}
		var one tally
		if err := json.Unmarshal(b, &one); err != nil {
			t.Fatal(err)
		}
		all.merge(one)
	}
	list := all["b.test"]
	if len(list) != 3 || list[0].Summary != (summary{6, 6}) || len(list[0].Failures) != 2 || list[0].Failures[0].Sessions != 4 || len(all) != 1 {
		t.Errorf("%+v of %d domains", list[0], len(all))
	}
}
