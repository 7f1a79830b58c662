package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden loads every testdata/*.hcl and compares what is said about it
// with the .diag beside it. Each file begins with a comment that says why it
// is there.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".hcl"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(src, []byte("# ")) {
				t.Error("does not say why it is there")
			}
			compareGolden(t, file, loadFake(filepath.Base(file), src))
		})
	}
}

// loadFake returns everything that is said about a file.
func loadFake(name string, src []byte) Diagnostics {
	o := fakeOptions()
	if strings.HasPrefix(name, "hostname_") {
		o.Hostname = func() (string, error) { return "3f2a9c", nil }
	}
	if strings.HasPrefix(name, "nothing_") {
		o.Hostname = func() (string, error) { return "", errors.New("no such machine") }
		o.DataDir = ""
		o.Registry = appliance.NewRegistry(fakeOnly(o.Registry, "mx", "disk")...)
	}
	f, err := Load("/etc/waxwing/"+name, src, o, nil)
	if err != nil {
		var ds Diagnostics
		errors.As(err, &ds)
		return ds
	}
	return f.Warnings
}

func fakeOnly(reg *appliance.Registry, names ...string) (some []appliance.Registration) {
	for _, r := range reg.All() {
		for _, n := range names {
			if r.Name == n {
				some = append(some, r)
			}
		}
	}
	return some
}

func compareGolden(t *testing.T, file string, ds Diagnostics) {
	t.Helper()
	var got bytes.Buffer
	if err := ds.Write(&got, false); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(ds)
	if err != nil {
		t.Fatal(err)
	}
	// X6: no secret, in no form.
	for _, out := range []string{got.String(), ds.Error(), string(asJSON)} {
		if strings.Contains(out, "marker") {
			t.Errorf("a secret shows:\n%s", out)
		}
	}
	golden := strings.TrimSuffix(file, ".hcl") + ".diag"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}
