package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/cmd"
)

// run runs a command of this build and returns what it says.
func run(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("WAXWING_DATA_DIR", t.TempDir())
	t.Setenv("APP_PASSWORD", "secret")
	var out, errs bytes.Buffer
	if status := cmd.Run(context.Background(), args, strings.NewReader(""), &out, &errs); status != 0 {
		t.Fatalf("%v: status %d\n%s%s", args, status, &out, &errs)
	}
	return out.String()
}

// TestModules: the check is part of this build.
func TestModules(t *testing.T) {
	if out := run(t, "modules", "check"); !strings.Contains(out, "markings") {
		t.Errorf("markings is not listed:\n%s", out)
	}
}

// TestValidate: the configuration of this directory loads, up to Provision.
func TestValidate(t *testing.T) { run(t, "validate", "--config", "mail.hcl") }
