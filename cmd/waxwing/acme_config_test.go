package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What people get wrong about certificates is found by validate and by run,
// with the line, with what to write instead and with status 3; nothing is started.
func TestACMEConfigurationErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		block string // from line 2 on
		want  []string
	}{
		{"unknown challenge", "tls \"acme\" \"auto\" {\n  challenges = [\"http-1\"]\n}",
			[]string{"line 3", "challenges", `"http-1" is no challenge`, `you may have meant "http-01"`}},
		{"dns reference that is not a dns block", "tls \"acme\" \"auto\" {\n  dns = auth.apps\n}",
			[]string{"line 3", "auth.apps is not a dns"}},
		{"dns reference to nothing", "tls \"acme\" \"auto\" {\n  dns = dns.zone\n}",
			[]string{"line 3", "dns.zone"}},
		{"dns-01 without dns", "tls \"acme\" \"auto\" {\n  challenges = [\"dns-01\"]\n}",
			[]string{"line", "dns"}},
		{"root that is not there", "tls \"acme\" \"auto\" {\n  issuer \"own\" {\n    directory = \"https://ca.example.com/dir\"\n    root_file = \"missing.pem\"\n  }\n}",
			[]string{"line 5", "root_file", "missing.pem", "no such file"}},
		{"root that is no certificate", "tls \"acme\" \"auto\" {\n  issuer \"own\" {\n    directory = \"https://ca.example.com/dir\"\n    root_file = \"bad.hcl\"\n  }\n}",
			[]string{"line 5", "root_file", "bad.hcl"}},
		{"directory in clear", "tls \"acme\" \"auto\" {\n  issuer \"own\" {\n    directory = \"http://ca.example.com/dir\"\n  }\n}",
			[]string{"line 4", "directory", "https"}},
		{"setting that is misspelt", "tls \"acme\" \"auto\" {\n  chalenges = [\"http-01\"]\n}",
			[]string{"line 3", "chalenges", "Did you mean challenges?"}},
		{"wildcard without dns-01", "tls \"acme\" \"auto\" {\n  names = [\"*.example.com\"]\n}",
			[]string{"line 3", "*.example.com", "dns"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			text := "hostname = \"mail.example.com\"\n" + c.block + `
listener "submission" "public" { address = "127.0.0.1:0" }
auth "static" "apps" {
  user "app" { password = "secret" }
}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  unsigned  = "allow"
  relay     = relay.out
}
relay "discard" "out" {}
`
			if err := os.WriteFile(filepath.Join(dir, "bad.hcl"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"validate", "run"} {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, binary, command, "--config", "bad.hcl")
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "WAXWING_DATA_DIR="+filepath.Join(dir, "data"))
				out, _ := cmd.CombinedOutput()
				if got := cmd.ProcessState.ExitCode(); got != 3 {
					t.Errorf("%s: exit status %d, want 3\n%s", command, got, out)
				}
				for _, want := range c.want {
					if !strings.Contains(string(out), want) {
						t.Errorf("%s does not say %q:\n%s", command, want, out)
					}
				}
			}
		})
	}
}
