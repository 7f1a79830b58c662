package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// load reads a configuration with every variable set.
func load(name, text string) (*config.File, error) {
	return config.Load(name, []byte(text), config.Options{
		Registry: appliance.Builtin,
		Getenv:   func(string) (string, bool) { return "a value", true },
		DataDir:  "/nowhere",
	}, nil)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestExamples loads every example: without an error, and without a warning,
// which somebody who copies it would wonder about.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.hcl")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d examples, %v", len(files), err)
	}
	for _, name := range append(files, "../mail.hcl.example", "demo.hcl") {
		text := read(t, name)
		f, err := load(name, strings.Replace(text, `password = ""`, `password = "a long one"`, 1))
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if len(f.Warnings) > 0 {
			t.Errorf("%s:\n%v", name, f.Warnings)
		}
		if layout, ds := config.Format(name, []byte(text)); ds.HasErrors() || string(layout) != text {
			t.Errorf("%s: run waxwing fmt --write on it %v", name, ds)
		}
	}
}

// option is a line of an option: a comment for people has one space.
var option = regexp.MustCompile(`(?m)^( *)#((?:\S|  ).*)$`)

// TestMailExampleOptions takes every option that mail.hcl.example has in a
// comment, and loads the whole.
func TestMailExampleOptions(t *testing.T) {
	text := read(t, "../mail.hcl.example")
	if n := len(option.FindAllString(text, -1)); n < 30 {
		t.Fatalf("found %d lines of options", n)
	}
	text = option.ReplaceAllString(text, "$1$2")
	if _, err := load("mail.hcl.example", text); err == nil || !strings.Contains(err.Error(), "write a long one") {
		t.Errorf("without a password: %v", err)
	}
	if _, err := load("mail.hcl.example", strings.Replace(text, `password = ""`, `password = "a long one"`, 1)); err != nil {
		t.Error(err)
	}
	if n := strings.Count(text, "<--"); n != 5 {
		t.Errorf("%d marks for the three values: one is in the introduction, the domain has two", n)
	}
}
