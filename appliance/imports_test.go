package appliance_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/waxwing-mail/waxwing/"

// confined names the only directories that may import a library, so that the
// library can be exchanged there and nowhere else.
var confined = map[string][]string{
	"blitiri.com.ar/go/spf":            {"appliance/spf"},
	"github.com/caddyserver/certmagic": {"modules/tls/acme"},
	"github.com/mholt/acmez":           {"modules/tls/acme"},
	"github.com/letsencrypt/pebble":    {"appliance/appliancetest/acmetest"},
	"github.com/libdns/libdns":         {"appliance", "modules/dns", "modules/signer/dkim", "modules/tls/acme"},
	"github.com/miekg/dns":             {"modules/dns", "appliance/resolver", "appliance/appliancetest/acmetest", "appliance/appliancetest/dnstest", "bench/compare"},
	"github.com/cockroachdb/pebble":    {"modules/store/disk"},
	"github.com/ebitengine/purego":     {"modules/internal/libcrypto"},
	"github.com/emersion/go-msgauth":   {"modules/check", "appliance/selftest", "bench/compare", "cmd"},
	"github.com/emersion/go-smtp":      {"modules/listener", "modules/internal/smtpconn", "appliance/appliancetest"},
	"github.com/hashicorp/hcl":         {"appliance/config"},
	"github.com/jackc/pgx":             {"modules/store/postgres"},
	"github.com/spf13/cobra":           {"cmd"},
	"github.com/zclconf/go-cty":        {"appliance/config"},
}

// TestImports holds the import directions of the project:
//
//	cmd, examples ──▶ modules/standard ──▶ modules/<kind>/<name> ──▶ modules/internal/*
//	cmd ──▶ appliance/* ;  appliance/* ──▶ appliance ;  modules ──▶ appliance
//
// A module never imports another module, nor config, nor cmd. Of the core it
// imports appliance and the packages that are lent to it: those that make
// hashes, mend messages, and read what the DNS says about mail.
func TestImports(t *testing.T) {
	files := 0
	eachImport(t, "..", func(file, dir, imp string) {
		files++
		if ours, ok := strings.CutPrefix(imp, modulePath); ok && !mayImport(dir, ours) {
			t.Errorf("%s: %s must not import %s", file, dir, ours)
		}
		for lib, dirs := range confined {
			if within(imp, lib) && !withinAny(dir, dirs) {
				t.Errorf("%s: %s is confined to %v", file, lib, dirs)
			}
		}
	})
	if files < 100 {
		t.Fatalf("only %d imports seen: the test looks in the wrong place", files)
	}
}

// lent are the packages of the core that modules may import.
var lent = []string{
	"appliance/password", "appliance/recode",
	"appliance/dkimkey", "appliance/dmarc", "appliance/dnsbl", "appliance/mtasts", "appliance/spf", "appliance/tlsrpt",
}

func mayImport(dir, imp string) bool {
	switch {
	case withinAny(dir, []string{"cmd", "examples", "bench"}):
		return true
	case dir == "appliance":
		return false
	case within(dir, "appliance"):
		return within(imp, "appliance")
	case dir == "modules/standard":
		return within(imp, "modules") && !within(imp, "modules/internal")
	case within(dir, "modules"):
		shared := within(imp, "modules/internal") || strings.Contains(imp, "/internal/")
		return imp == "appliance" || slices.Contains(lent, imp) || shared
	}
	return false
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func withinAny(p string, dirs []string) bool {
	for _, d := range dirs {
		if within(p, d) {
			return true
		}
	}
	return false
}

// eachImport calls f for each import of each Go file that is no test.
func eachImport(t *testing.T, root string, f func(file, dir, imp string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		src, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		for _, spec := range src.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f(rel, path.Dir(rel), imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
