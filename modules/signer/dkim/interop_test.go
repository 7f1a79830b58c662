package dkim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestP15Dkimpy verifies what we sign with an implementation that shares no
// line with ours: dkimpy (Debian: python3-dkim).
func TestP15Dkimpy(t *testing.T) {
	python := findDkimpy(t)
	d := signer(t)
	dir := t.TempDir()
	records := make(map[string]string)
	for _, r := range d.DNSRecords() {
		records[r.Name] = r.Value
	}
	dns, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "dns.json"), dns)
	sign := func(file, raw string) {
		tx := parse(t, raw)
		if err := d.Modify(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, file), []byte(wire(t, tx)))
	}
	for i, m := range messages {
		sign(fmt.Sprintf("%02d.eml", i), m.raw)
	}
	random := randomMails(200)
	for i, raw := range random {
		sign(fmt.Sprintf("random%03d.eml", i), raw)
	}
	tx := parse(t, plainMail)
	if err := d.Modify(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "forged.eml"), []byte(strings.Replace(wire(t, tx), "Text.", "Text!", 1)))

	results := run(t, python, dir)
	for i, m := range messages {
		if m.name == obsolete {
			continue
		}
		for _, signature := range []int{0, 1} {
			if line := fmt.Sprintf("%02d.eml %d ok", i, signature); !results[line] {
				t.Errorf("%s: signature %d does not verify", m.name, signature)
			}
		}
	}
	for i, raw := range random {
		for _, signature := range []int{0, 1} {
			if !results[fmt.Sprintf("random%03d.eml %d ok", i, signature)] {
				t.Errorf("signature %d of %q does not verify", signature, raw)
			}
		}
	}
	for _, signature := range []int{0, 1} {
		if !results[fmt.Sprintf("forged.eml %d FAILED", signature)] {
			t.Error("dkimpy does not notice a changed body: this test shows nothing")
		}
	}
}

func findDkimpy(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import dkim, nacl").Run() == nil {
			return python
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("dkimpy is not installed (apt: python3-dkim)")
	}
	t.Skip("dkimpy is not installed (apt: python3-dkim)")
	return ""
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run returns the lines that verify.py prints.
func run(t *testing.T, python, dir string) map[string]bool {
	t.Helper()
	cmd := exec.Command(python, filepath.Join("testdata", "verify.py"), dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	t.Log(said.String())
	lines := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		lines[strings.TrimSpace(line)] = true
	}
	return lines
}
