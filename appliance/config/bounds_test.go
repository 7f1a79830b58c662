package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// X1: every way to nest, far beyond the limits. Without them the process ends
// in a stack overflow, which no recover catches (hashicorp/hcl, issue 809).
var nesting = map[string]func(n int) string{
	"parentheses":  func(n int) string { return "a = " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n) },
	"unclosed":     func(n int) string { return "a = " + strings.Repeat("(", n) },
	"lines":        func(n int) string { return "a = " + strings.Repeat("(\n", n) },
	"tuples":       func(n int) string { return "a = " + strings.Repeat("[", n) + strings.Repeat("]", n) },
	"objects":      func(n int) string { return "a = " + strings.Repeat("{a=", n) + "1" + strings.Repeat("}", n) },
	"object lines": func(n int) string { return "a = " + strings.Repeat("{\na=", n) + "1" + strings.Repeat("\n}", n) },
	"calls":        func(n int) string { return "a = " + strings.Repeat("env(", n) + `"A"` + strings.Repeat(")", n) },
	"blocks":       func(n int) string { return strings.Repeat("a {\n", n) + strings.Repeat("}\n", n) },
	"labels":       func(n int) string { return strings.Repeat("a \"b\" {\n", n) },
	"templates":    func(n int) string { return "a = " + strings.Repeat(`"${`, n) + "1" + strings.Repeat(`}"`, n) },
	"heredocs":     func(n int) string { return "a = " + strings.Repeat("<<E\n${", n) },
	"directives": func(n int) string {
		return "a = \"" + strings.Repeat("%{ if true }", n) + strings.Repeat("%{ endif }", n) + `"`
	},
	"not":          func(n int) string { return "a = " + strings.Repeat("!", n) + "true" },
	"minus":        func(n int) string { return "a = " + strings.Repeat("-", n) + "1" },
	"sum":          func(n int) string { return "a = 1" + strings.Repeat(" + 1", n) },
	"and":          func(n int) string { return "a = true" + strings.Repeat(" && true", n) },
	"equal":        func(n int) string { return "a = 1" + strings.Repeat(" == 1", n) },
	"conditions":   func(n int) string { return "a = " + strings.Repeat("true ? 1 : ", n) + "1" },
	"inner":        func(n int) string { return "a = " + strings.Repeat("true ? ", n) + "1" + strings.Repeat(" : 1", n) },
	"attributes":   func(n int) string { return "a = b" + strings.Repeat(".c", n) },
	"indexes":      func(n int) string { return "a = b" + strings.Repeat("[0]", n) },
	"variable":     func(n int) string { return "a = b" + strings.Repeat("[c]", n) },
	"splats":       func(n int) string { return "a = b" + strings.Repeat("[*]", n) },
	"dot splats":   func(n int) string { return "a = b" + strings.Repeat(".*", n) },
	"for":          func(n int) string { return "a = " + strings.Repeat("[for x in ", n) + "[]" + strings.Repeat(": x]", n) },
	"mixed":        func(n int) string { return "a = " + strings.Repeat("!(-[", n) },
	"wrong closer": func(n int) string { return "a = " + strings.Repeat("([)", n) },
	"commas":       func(n int) string { return "a = " + strings.Repeat("[1, ", n) },
	"quotes":       func(n int) string { return "a = " + strings.Repeat("\"\n", n) },
}

func TestNesting(t *testing.T) {
	for name, f := range nesting {
		t.Run(name, func(t *testing.T) {
			src := f(25_000)
			if len(src) > maxSource {
				src = src[:maxSource]
			}
			start := time.Now()
			ds := loadFake("x.hcl", []byte(src))
			if !ds.HasErrors() {
				t.Error("it loads")
			}
			if _, ds := Format("x.hcl", []byte(src)); !ds.HasErrors() {
				t.Error("it is formatted")
			}
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %v", d)
			}
		})
	}
}

// Up to the limits everything parses.
func TestNestingWithinLimits(t *testing.T) {
	for name, depth := range map[string]int{"parentheses": 100, "tuples": 100, "calls": 50, "not": 999, "sum": 999} {
		ds := loadFake("x.hcl", []byte(nesting[name](depth)))
		if strings.Contains(ds.Error(), "limits are") {
			t.Errorf("%s: %v", name, ds)
		}
	}
}

// X1: large files end in an error, or load, in reasonable time.
func TestLargeFiles(t *testing.T) {
	const size = maxSource / 4 // keeps the test short
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	numbered := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size-100; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, src := range map[string]string{
		"attributes": numbered("a%d = 1\n"),
		"blocks":     numbered("relay \"mx\" \"r%d\" {}\n"),
		"same":       repeat("relay \"mx\" \"r\" {}\n"),
		"references": "pipeline \"p\" {\n relay = relay.x\n auth = [" + numbered("auth.a%d, ") + "]\n}\n",
		"nested":     "auth \"static\" \"a\" {\n" + numbered("user \"u%d\" { password = \"x\" }\n") + "}\n",
		"elements":   "signer \"dkim\" \"s\" {\n domains = [" + numbered("\"d%d\", ") + "]\n}\n",
		"comment":    "#" + repeat("a"),
		"newlines":   repeat("\n"),
		"words":      repeat("a "),
		"string":     "hostname = \"" + repeat("a") + "\"",
		"escapes":    "hostname = \"" + repeat(`\u00e9`) + "\"",
		"templates":  "hostname = \"" + repeat(`${"a"}`) + "\"",
		"heredoc":    "hostname = <<E\n" + repeat("a\n") + "\nE\n",
		"indented":   "hostname = <<-E\n" + repeat("   a\n") + "\nE\n",
		"too large":  strings.Repeat("a", maxSource+1),
		"unknown":    repeat("x {\n}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			ds := loadFake("x.hcl", []byte(src))
			if len(ds) > maxDiagnostics+1 {
				t.Errorf("%d diagnostics", len(ds))
			}
			// Minutes mean that something is quadratic; a busy machine and the race
			// detector take their time too.
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %v", d)
			}
		})
	}
}

// What is too much is said to be.
func TestLimits(t *testing.T) {
	for want, src := range map[string]string{
		"the file is too large: It has 1048577 bytes; at most 1048576 are allowed.": strings.Repeat("a", maxSource+1),
		"too many blocks: A file can have 1000.":                                    strings.Repeat("relay \"mx\" \"a\" {}\n", maxBlocks+1),
		"heredocs are too long: They can have 10000 lines in all.":                  "hostname = <<E\n" + strings.Repeat("a\n", maxLines+1) + "E\n",
	} {
		if ds := loadFake("x.hcl", []byte(src)); !strings.Contains(ds.Error(), want) {
			t.Errorf("%q\n got %v", want, ds)
		}
	}
}

func TestByteOrderMarks(t *testing.T) {
	for _, bom := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if ds := loadFake("x.hcl", []byte(bom+"hostname = \"a.example.com\"\n")); !strings.Contains(ds.Error(), "byte order mark") {
			t.Errorf("%q: %v", bom, ds)
		}
	}
}

// FuzzLoad: whatever the file is, loading it ends, in a graph or in errors
// that print.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte(goodFile))
	for _, nest := range nesting {
		f.Add([]byte(nest(20)))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Load("mail.hcl", src, fakeOptions(), nil)
		if (file == nil) == (err == nil) {
			t.Fatal("neither a file nor an error, or both")
		}
		if err != nil {
			if strings.Contains(err.Error(), "marker-env") || strings.Contains(err.Error(), "marker-file") {
				t.Errorf("a secret shows: %v", err)
			}
			return
		}
		// What loads, loads again, and changes nothing.
		again, err := Load("mail.hcl", src, fakeOptions(), file.Graph)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range again.Graph.Nodes {
			if file.Graph.Node(n.Addr) != n {
				t.Errorf("%s is another one", n.Addr)
			}
		}
		out, ds := Format("mail.hcl", src)
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		formatted, err := Load("mail.hcl", out, fakeOptions(), file.Graph)
		if err != nil {
			t.Fatalf("formatted it does not load: %v\n%s", err, out)
		}
		for _, n := range formatted.Graph.Nodes {
			if file.Graph.Node(n.Addr) != n {
				t.Errorf("formatted, %s means something else:\n%s", n.Addr, out)
			}
		}
	})
}
