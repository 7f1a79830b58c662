package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLibcrypto: a server that is built with the tag libcrypto, without cgo,
// has its signatures made by the OpenSSL of the system; where that cannot be
// loaded it says why and signs all the same. dkimpy verifies both. The system
// calls that the unit allows are enough for it.
func TestLibcrypto(t *testing.T) {
	need(t, "openssl") // and with it its library
	dir := t.TempDir()
	program := filepath.Join(dir, "waxwing")
	build := exec.Command("go", "build", "-tags", "libcrypto", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(program, "version").Output(); err != nil || !strings.HasSuffix(string(out), " libcrypto\n") {
		t.Errorf("version: %q, %v", out, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "libcrypto.so.3"), []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} { // for the user of the unit
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const made = `"msg":"RSA signatures are made by libcrypto","library":"OpenSSL 3.`
	for _, c := range []struct {
		name, search, says string
		confine            func(*process)
	}{
		{"there", "", made, func(*process) {}},
		{"missing", dir, "libcrypto cannot be used: RSA signatures are made by crypto/rsa", func(*process) {}},
		{"shut in", "", made, readUnit(t).shutIn},
	} {
		t.Run(c.name, func(t *testing.T) {
			var box inbox
			p := newProcess(t, smarthost(newSink(t, box.got).Addr()))
			c.confine(p)
			// In place of the binary of all tests, which is the first argument.
			p.wrap = append(p.wrap, "/usr/bin/env", "LD_LIBRARY_PATH="+c.search, "sh", "-c", `shift; exec "`+program+`" "$@"`, "sh")
			p.start()
			if p.log.Count(c.says) != 1 {
				t.Errorf("the log does not say %s", c.says)
			}
			p.submitTo(p.submitter(), "someone@example.net", "signed")
			until(t, 20*time.Second, "the message arrives", func() bool { return len(box.all()) == 1 })
			dkimVerify(t, dkimRecords(t, p), box.all()[0].Data)
			p.terminate()
		})
	}
}
