package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

const goodFile = `
hostname = "Mail.Example.COM"
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  checks    = [check.b, check.a]
  signers   = [signer.example]
  relay     = relay.internet
  route {
    when  = user == "app"
    relay = relay.ses
  }
  route {
    when   = user == "bad"
    reject = "550 5.1.2 No"
  }
}
listener "submission" "public" { trusted = ["10.0.0.0/8", "::1/128"] }
auth "static" "apps" {
  user "app" { password = env("PASSWORD") }
}
check "senders" "a" {}
check "senders" "b" {}
signer "dkim" "example" {}
relay "mx" "internet" {}
relay "smarthost" "ses" {
  address  = "smtp.example.net:587"
  fallback = relay.internet
  password = file("near")
}
`

func mustLoad(t *testing.T, src string, previous *appliance.Graph) *File {
	t.Helper()
	return mustLoadWith(t, src, fakeOptions(), previous)
}

func mustLoadWith(t *testing.T, src string, o Options, previous *appliance.Graph) *File {
	t.Helper()
	f, err := Load("/etc/waxwing/mail.hcl", []byte(src), o, previous)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func addrs(g *appliance.Graph) string {
	var all []string
	for _, n := range g.Nodes {
		all = append(all, n.Addr.String())
	}
	return strings.Join(all, " ")
}

func module[T any](t *testing.T, g *appliance.Graph, addr string) T {
	t.Helper()
	kind, name, _ := strings.Cut(addr, ".")
	n := g.Node(appliance.Addr{Kind: appliance.Kind(kind), Name: name})
	if n == nil {
		t.Fatalf("no %s in %s", addr, addrs(g))
	}
	m, ok := n.Module.(T)
	if !ok {
		t.Fatalf("%s is a %T", addr, n.Module)
	}
	return m
}

func TestGraph(t *testing.T) {
	f := mustLoad(t, goodFile, nil)
	want := "store.main tls.default listener.public auth.apps check.b check.a signer.example relay.internet relay.ses pipeline.outgoing"
	if got := addrs(f.Graph); got != want {
		t.Errorf("order\n got %s\nwant %s", got, want)
	}
	if got := f.Graph.Settings.Hostname; got != "mail.example.com" {
		t.Errorf("hostname %q", got)
	}
	n := f.Graph.Pipelines()[0]
	if n.Type != "" || n.Module != nil {
		t.Errorf("node %+v", n)
	}
	if got := fmt.Sprint(n.Deps); got != "[listener.public auth.apps check.b check.a signer.example relay.internet relay.ses]" {
		t.Errorf("deps %s", got)
	}
	p := n.Pipeline
	if len(p.Routes) != 2 || p.Routes[0].Relay.Addr().Name != "ses" || p.Routes[1].Reject.Code != 550 {
		t.Errorf("routes %+v", p.Routes)
	}
	l := module[*fakeListener](t, f.Graph, "listener.public")
	if p.Listeners[0].To() != appliance.Listener(l) || l.Address != ":587" || l.Timeout != 5*time.Minute || len(l.Trusted) != 2 {
		t.Errorf("listener %+v", l)
	}
	if l.TLS.Addr().String() != "tls.default" || !l.TLS.IsSet() {
		t.Errorf("tls %v", l.TLS)
	}
	ses := module[*fakeRelay](t, f.Graph, "relay.ses")
	if ses.Password.Reveal() != "marker-near" || ses.Fallback.To() != p.Relay.To() || ses.Report.IsSet() {
		t.Errorf("relay %+v", ses)
	}
	if got := module[*fakeStore](t, f.Graph, "store.main").Path; got != "/data" {
		t.Errorf("store in %q", got)
	}
}

// The graph holds what runs: what is not used does not.
func TestUnusedIsNotInGraph(t *testing.T) {
	src := strings.Replace(goodFile, `"public" { `, `"public" { tls = tls.own  `, 1)
	f := mustLoad(t, src+`
tls "files" "own" {}
listener "submission" "forgotten" { tls = tls.x }
tls "files" "x" {}
check "senders" "forgotten" {}
`, nil)
	if got := addrs(f.Graph); strings.Contains(got, "forgotten") || strings.Contains(got, "tls.x") || !strings.Contains(got, "tls.own") {
		t.Errorf("nodes %s", got)
	}
}

func TestOnly(t *testing.T) {
	f := mustLoad(t, goodFile+`tls "files" "own" {}`, nil)
	if got := module[*fakeListener](t, f.Graph, "listener.public").TLS.Addr().String(); got != "tls.own" {
		t.Errorf("tls %s", got)
	}
	if strings.Contains(addrs(f.Graph), "tls.default") {
		t.Error("a certificate that nobody asked for")
	}
	o := fakeOptions()
	o.Registry = appliance.NewRegistry(slices.DeleteFunc(o.Registry.All(), func(r appliance.Registration) bool {
		return r.Kind == appliance.KindTLS
	})...)
	f = mustLoadWith(t, goodFile, o, nil)
	if module[*fakeListener](t, f.Graph, "listener.public").TLS.IsSet() {
		t.Error("bound to nothing")
	}
}

func TestCapture(t *testing.T) {
	live := mustLoad(t, goodFile, nil)
	f := mustLoad(t, "mode = \"capture\"\n"+goodFile, live.Graph)
	p := f.Graph.Pipelines()[0].Pipeline
	if p.Relay.Addr().String() != "relay.captured" || len(p.Routes) != 1 || p.Routes[0].Reject == nil {
		t.Errorf("pipeline relay %v, routes %+v", p.Relay, p.Routes)
	}
	if got := addrs(f.Graph); strings.Contains(got, "relay.internet") || strings.Contains(got, "relay.ses") {
		t.Errorf("a relay that sends: %s", got)
	}
	if len(f.Warnings) != 0 {
		t.Errorf("warnings: %v", f.Warnings)
	}
	// A relay that captures and has the name already is the one.
	f = mustLoad(t, "mode = \"capture\"\nrelay \"capture\" \"captured\" {}\n"+goodFile, nil)
	if n := f.instances[appliance.Addr{Kind: "relay", Name: "captured"}]; n == nil || n.block == nil {
		t.Error("not the one of the file")
	}
}

// What a reload replaces, by what changes in the file or around it.
func TestFingerprints(t *testing.T) {
	for _, c := range []struct {
		name, change, to string // replaced in the file
		env              map[string]string
		replaced         string
	}{
		{"nothing", "", "", nil, ""},
		{"comments and spaces", "relay     = relay.internet", "relay = /* the */ relay.internet # internet", nil, ""},
		{"lines", "hostname", "\n\n\nhostname", nil, ""},
		{"an attribute", `address  = "smtp.example.net:587"`, `address  = "smtp.example.net:465"`, nil, "relay.ses pipeline.outgoing"},
		{"a dependency", `relay "mx" "internet"`, `relay "capture" "internet"`, nil, "relay.internet relay.ses pipeline.outgoing"},
		{"the order of a list", "[check.b, check.a]", "[check.a, check.b]", nil, "pipeline.outgoing"},
		{"a variable", "", "", map[string]string{"PASSWORD": "marker-new"}, "auth.apps pipeline.outgoing"},
		{"the host name", "Mail.", "Smtp.", nil, "tls.default listener.public auth.apps check.b check.a signer.example relay.internet relay.ses pipeline.outgoing"},
		{"the resolver", "pipeline", "resolver = \"10.0.0.53\"\npipeline", nil, ""},
		{"its DNSSEC", "pipeline", "dnssec = true\npipeline", nil, ""},
		{"a limit", "pipeline", "limits { max_hops = 50 }\npipeline", nil, "tls.default listener.public auth.apps check.b check.a signer.example relay.internet relay.ses pipeline.outgoing"},
		{"the reserve", "pipeline", "limits { min_free_disk = \"1GiB\" }\npipeline", nil, "store.main tls.default listener.public auth.apps check.b check.a signer.example relay.internet relay.ses pipeline.outgoing"},
		{"the directory", "pipeline", "data_dir = \"/other\"\npipeline", nil, "store.main"},
		{"the log", "pipeline", "log { level = \"debug\" }\npipeline", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := mustLoad(t, goodFile, nil).Graph
			o := fakeOptions()
			lookup := o.Getenv
			o.Getenv = func(name string) (string, bool) {
				if v, ok := c.env[name]; ok {
					return v, true
				}
				return lookup(name)
			}
			after := mustLoadWith(t, strings.Replace(goodFile, c.change, c.to, 1), o, before).Graph
			var replaced []string
			for _, n := range after.Nodes {
				if before.Node(n.Addr) != n {
					replaced = append(replaced, n.Addr.String())
				}
			}
			if got := strings.Join(replaced, " "); got != c.replaced {
				t.Errorf("replaced\n got %s\nwant %s", got, c.replaced)
			}
			for _, n := range after.Nodes {
				if n.Pipeline != nil && n.Pipeline.Auth[0].To() != after.Node(n.Pipeline.Auth[0].Addr()).Module {
					t.Error("bound to an instance that is not in the graph")
				}
			}
		})
	}
}

// X2: values are taken literally, octet by octet.
func TestValuesAreLiteral(t *testing.T) {
	f := mustLoad(t, goodFile+`
check "senders" "values" {
  on_error = "defer"
  names = {
    tricky  = env("TRICKY")
    default = env("NOT_SET", "a")
    empty   = env("EMPTY")
    mixed   = "<${env("PASSWORD")}>"
  }
  limit  = env("NUMBER")
  strict = env("YES")
  size   = env("NUMBER")
}
pipeline "two" {
  checks   = [check.values]
  rewrites = [rewrite.people]
  relay    = relay.internet
}
rewrite "aliases" "people" {}
`, nil)
	c := module[*fakeCheck](t, f.Graph, "check.values")
	want := map[string]string{"tricky": fakeEnv["TRICKY"], "default": "a", "empty": "", "mixed": "<marker-env>"}
	if diff := cmp.Diff(want, c.Names); diff != "" || c.Limit != 12 || !c.Strict || c.Size != 12 {
		t.Errorf("limit %d, names %s", c.Limit, diff)
	}

	// "é" as two characters, which Unicode normal form C would join, and
	// octets that are no text at all.
	o := fakeOptions()
	raw := "e\u0301\xff"
	o.Getenv = func(string) (string, bool) { return raw, true }
	f = mustLoadWith(t, goodFile, o, nil)
	if got := module[*fakeAuth](t, f.Graph, "auth.apps").Users[0].Password.Reveal(); got != raw {
		t.Errorf("password %q, want %q", got, raw)
	}
}

// What file() reads by itself: regular files, relative to the configuration,
// with a warning where everybody can read a secret.
func TestReadBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("marker"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Registry: fakeRegistry(), DataDir: dir, Hostname: func() (string, error) { return "a.example.com", nil }}
	load := func(secret string) string {
		f, err := Load(filepath.Join(dir, "mail.hcl"), fmt.Appendf(nil, "relay \"smarthost\" \"x\" {\n address = \"a\"\n password = file(%q)\n}\n", secret), o, nil)
		if err != nil {
			return err.Error()
		}
		return f.Warnings.Error()
	}
	for secret, want := range map[string]string{
		"secret": "warning: anybody on this machine can read the secret", // X3
		".":      "is not a regular file",
		"none":   "There is no file " + filepath.Join(dir, "none"),
	} {
		if said := load(secret); !strings.Contains(said, want) {
			t.Errorf("file(%q): %s", secret, said)
		}
	}
}

// The settings of a file are readable whatever its modules are, and without
// their variables.
func TestLoadSettings(t *testing.T) {
	s, wrong, err := LoadSettings("mail.hcl", []byte("relay \"no\" \"x\" { a = env(\"NOT_SET\") }\nadmin { address = \"unix:/a\" }\n"), fakeOptions())
	if err != nil || wrong != nil || s.Admin.Address != "unix:/a" || s.DataDir != "/data" || s.Hostname != "machine.example.com" {
		t.Errorf("%+v, %v, %v", s, wrong, err)
	}
}

// A server is found by its file whatever else is wrong there; what is wrong
// with what it is found by is an error.
func TestLoadSettingsWrong(t *testing.T) {
	for _, text := range []string{
		"mode = \"x\"\n",
		"nonsense = 1\n",
		"hostname = \"-\"\n",
		"queue { retry = \"soon\" }\n",
		"limits { max_hops = \"many\" }\nlog { level = \"x\" }\n",
	} {
		text += "data_dir = \"/d\"\nadmin {\n  address = \"unix:/a\"\n  token = env(\"NOT_SET\")\n}\n"
		s, wrong, err := LoadSettings("mail.hcl", []byte(text), fakeOptions())
		if err != nil || !wrong.HasErrors() || s.DataDir != "/d" || s.Admin.Address != "unix:/a" || s.Admin.Token.Reveal() != "" {
			t.Errorf("%s: %+v, %v, %v", text, s, wrong, err)
		}
	}
	for _, text := range []string{
		"data_dir = env(\"NOT_SET\")\n",
		"admin { address = \"nonsense\" }\n",
		"admin { address = \"unix:\" }\n",
		"admin { address = \"unix:/a\" }\nadmin { address = \"unix:/b\" }\n",
		"data_dir = \n",
	} {
		_, _, err := LoadSettings("mail.hcl", []byte(text), fakeOptions())
		if ds, ok := errors.AsType[Diagnostics](err); !ok || !ds.HasErrors() {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What Provision and Start find is shown at the line it is about.
func TestDiagnose(t *testing.T) {
	f := mustLoad(t, goodFile, nil)
	relay := appliance.Addr{Kind: appliance.KindRelay, Name: "ses"}
	ds := f.Diagnose(errors.Join(
		&appliance.InstanceError{Addr: relay, Err: fmt.Errorf("open: %w", &appliance.AttrError{Attr: "address", Msg: "cannot be reached"})},
		&appliance.InstanceError{Addr: relay, Err: errors.New("password marker-near is wrong")},
		&appliance.InstanceError{Addr: relay, Err: &appliance.AttrError{Attr: "source", Msg: "is not an address of this machine"}},
		&appliance.InstanceError{Addr: appliance.Addr{Kind: appliance.KindAuth, Name: "apps"}, Err: &appliance.AttrError{Attr: "user.app.password", Msg: "is weak"}},
		&appliance.InstanceError{Addr: appliance.Addr{Kind: appliance.KindAuth, Name: "apps"}, Err: &appliance.AttrError{Attr: "user.password", Msg: "is short"}},
		&appliance.InstanceError{Addr: appliance.Addr{Kind: appliance.KindStore, Name: "main"}, Err: errors.New("the directory is locked")},
		&appliance.InstanceError{Addr: appliance.Addr{Kind: appliance.KindStore, Name: "gone"}, Err: errors.New("what is this")},
		errors.New("no engine"),
	))
	var got bytes.Buffer
	if err := ds.Write(&got, false); err != nil {
		t.Fatal(err)
	}
	golden := "testdata/diagnose.txt"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" || strings.Contains(got.String(), "marker") {
		t.Error(diff)
	}
}

func TestColor(t *testing.T) {
	ds := loadFake("x.hcl", []byte("mode = \"x\"\n"))
	var b bytes.Buffer
	if err := ds.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[1;31m") {
		t.Errorf("no colour in %q", b.String())
	}
}

// X8: nothing in a file reaches a terminal as a control.
func TestControlCharacters(t *testing.T) {
	ds := loadFake("x.hcl", []byte("hostname = \"a\x1b[2J\u202e\"\nrelay \"mx\x1b[2J\" \"y\" {}\n"))
	var b bytes.Buffer
	if err := ds.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{b.String(), ds.Error()} {
		if strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%q", out)
		}
	}
}
