package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestImageAlone: the static binary of the image lives in a root file system with
// nothing in it but itself, its configuration and its data: no shell, no /tmp,
// no /proc, no device, no user to be looked up. Only its data is writable.
func TestImageAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test has to change the root: run it as root")
		}
		t.Skip("only root can change the root")
	}
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	root := filepath.Join(t.TempDir(), "root")
	inside := func(name string) string { return filepath.Join(root, name) }
	// Everything is found under the same names inside and outside.
	data := filepath.Join(p.dir, "data")
	for _, dir := range []string{filepath.Dir(binary), p.dir, data} {
		if err := os.MkdirAll(inside(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-tags", "timetzdata", "-o", inside(binary), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	configuration, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.WriteFile(inside(p.config), configuration, 0o644), os.Chmod(filepath.Dir(root), 0o755),
		os.Chmod(inside(data), 0o700), os.Chown(inside(data), imageUser, imageUser), os.Symlink(inside(data), data),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.wrap = []string{need(t, "chroot"), "--userspec=10001:10001", root}
	p.start()
	p.submitTo(p.submitter(), "someone@example.net", "alone")
	until(t, 20*time.Second, "the message arrives", func() bool { return len(box.all()) == 1 })
	if m := box.all()[0]; !strings.Contains(string(m.Data), "DKIM-Signature:") {
		t.Errorf("it is not signed:\n%s", m.Data)
	}
	p.run("health")
	p.terminate()
}
