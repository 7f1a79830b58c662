package standard_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/appliance/config/fielddoc"
	_ "github.com/waxwing-mail/waxwing/modules/standard"
	"github.com/waxwing-mail/waxwing/modules/standard/fields"
)

var update = flag.Bool("update", false, "write fields.json anew")

// The world in which the examples are loaded: every variable is set and every
// file is there.
func options() config.Options {
	return config.Options{
		Registry: appliance.Builtin,
		Getenv:   func(string) (string, bool) { return "correct horse battery staple", true },
		ReadFile: func(string) ([]byte, error) { return []byte("correct horse battery staple\n"), nil },
		Stat:     func(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist },
		Hostname: func() (string, error) { return "mail.example.com", nil },
		DataDir:  "/data",
	}
}

func TestRegistrations(t *testing.T) {
	for _, r := range appliance.Builtin.All() {
		t.Run(string(r.Kind)+"."+r.Name, func(t *testing.T) {
			if r.Summary == "" || strings.HasSuffix(r.Summary, ".") || strings.Contains(r.Summary, "\n") {
				t.Errorf("summary %q: one line without a full stop", r.Summary)
			}
			if word, _, _ := strings.Cut(r.Summary, " "); word != strings.ToLower(word) && word != strings.ToUpper(word) {
				t.Errorf("summary %q: it begins with a small letter, as in a list", r.Summary)
			}
			if !strings.Contains(r.Example, string(r.Kind)+` "`+r.Name+`"`) {
				t.Errorf("the example does not show the type:\n%s", r.Example)
			}
			if _, err := config.Load("example.hcl", []byte(r.Example), options(), nil); err != nil {
				t.Errorf("the example does not load:\n%v", err)
			}
			if _, ds := config.Format("example.hcl", []byte(r.Example)); ds.HasErrors() {
				t.Error(ds)
			}
			// New has no side effects, and makes an instance of its own each time.
			if a, b := reflect.ValueOf(r.New()), reflect.ValueOf(r.New()); a.Pointer() == b.Pointer() && a.Type().Elem().Size() > 0 {
				t.Error("New returns the same instance twice")
			}
		})
	}
}

// TestLinked compares the imports of standard.go with the tree.
func TestLinked(t *testing.T) {
	src, err := os.ReadFile("standard.go")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob("../*/*")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, dir := range dirs {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.ToSlash(strings.TrimPrefix(dir, "../"))
		if len(files) > 0 && !strings.HasPrefix(path, "internal/") && !strings.HasPrefix(path, "standard/") {
			want = append(want, `_ "github.com/waxwing-mail/waxwing/modules/`+path+`"`)
		}
	}
	var got []string
	for line := range strings.Lines(string(src)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "_ ") {
			got = append(got, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("imports\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// TestFields keeps fields.json true, and finds attributes that nobody has
// written a comment for.
func TestFields(t *testing.T) {
	all := append(config.DescribeSettings(), config.DescribePipeline()...)
	for _, r := range appliance.Builtin.All() {
		all = append(all, config.Describe(r)...)
	}
	tree := &fielddoc.Tree{Module: "github.com/waxwing-mail/waxwing", Dir: "../.."}
	texts, err := tree.Extract(all...)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(texts); err != nil {
		t.Fatal(err)
	}
	const file = "fields/fields.json"
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("fields.json is stale: go generate ./modules/standard")
	}
	for _, a := range all {
		if fields.Text(a.Owner, a.Field) == "" {
			t.Errorf("no text for %s", a.Name)
		}
	}
}
