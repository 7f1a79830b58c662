package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user that owns nothing, as whom these tests run the server.
const nobody = 65534

// A tenant is a directory in which nobody has a configuration.
type tenant struct {
	t   *testing.T
	dir string
}

func newTenant(t *testing.T) *tenant {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test has to change the user: run it as root")
		}
		t.Skip("only root can run a program as somebody else")
	}
	dir, err := os.MkdirTemp("", "waxwing-denied-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{dir, filepath.Dir(binary)} {
		if err := os.Chmod(d, 0o755); err != nil { // TMPDIR may be read by all, what is in it may not
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return &tenant{t, dir}
}

// file writes a file with a mode; it belongs to root.
func (n *tenant) file(name, text string, mode os.FileMode) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// run runs waxwing as nobody in a network of its own, where ports below 1024
// are out of reach and no address can be taken.
func (n *tenant) run(args ...string) (status int, out string) {
	n.t.Helper()
	c := exec.CommandContext(n.t.Context(), binary, args...)
	c.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
		Cloneflags: syscall.CLONE_NEWNET,
	}
	c.WaitDelay = time.Second
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Env = append(os.Environ(), "WAXWING_DATA_DIR="+filepath.Join(n.dir, "data"))
	text, err := c.CombinedOutput()
	if c.ProcessState == nil {
		n.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(text)
}

const tenantConfiguration = `
hostname = "mail.example.com"
data_dir = %q
auth "static" "apps" {
  user "app" { password = %s }
}
listener "submission" "public" { address = %q }
relay "discard" "out" {}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  unsigned  = "allow"
  relay     = relay.out
}
`

// TestDenied: what a user is not allowed to do is said, with what to do about
// it.
func TestDenied(t *testing.T) {
	n := newTenant(t)
	const password = `"secret"`
	data, theirs := filepath.Join(n.dir, "data"), filepath.Join(n.dir, "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil { // root's
		t.Fatal(err)
	}
	secret := n.file("secret", "secret\n", 0o600)
	// As certbot leaves them: links for everybody to what is root's alone.
	live, archive := filepath.Join(n.dir, "live"), filepath.Join(n.dir, "archive")
	for dir, mode := range map[string]os.FileMode{live: 0o755, archive: 0o700} {
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(archive, "privkey1.pem"), filepath.Join(live, "privkey.pem")); err != nil {
		t.Fatal(err)
	}
	files := func(attr string) string {
		return fmt.Sprintf(tenantConfiguration, data, password, "127.0.0.1:0") + "tls \"files\" \"own\" {\n" + attr + "\n}\n"
	}
	for _, tt := range []struct {
		name   string
		config string
		mode   os.FileMode
		status int
		want   []string
	}{
		{"a port of the system", fmt.Sprintf(tenantConfiguration, data, password, ":587"), 0o644, 1,
			[]string{"listener.public", "permission denied", "CAP_NET_BIND_SERVICE"}},
		{"a data directory of somebody else", fmt.Sprintf(tenantConfiguration, theirs, password, "127.0.0.1:0"), 0o644, 1,
			[]string{"belongs to user 0", "run chown 65534 " + theirs}},
		{"a data directory that cannot be made", fmt.Sprintf(tenantConfiguration, theirs+"/data", password, "127.0.0.1:0"), 0o644, 1,
			[]string{"user 65534", "run install -d -m 0700 -o 65534 " + theirs + "/data"}},
		{"a secret that cannot be read", fmt.Sprintf(tenantConfiguration, data, fmt.Sprintf("file(%q)", secret), "127.0.0.1:0"), 0o644, 3,
			[]string{"line 5", secret, "permission denied"}},
		{"a certificate that cannot be read", files(fmt.Sprintf("certificate = %q\n key = %q", live+"/privkey.pem", live+"/privkey.pem")), 0o644, 3,
			[]string{"on mail.hcl line 16", "permission denied: let user 65534, as which waxwing runs, or its group read it and enter the directories above it"}},
		{"certificates that cannot be read", files(fmt.Sprintf("directory = %q", live)), 0o644, 3,
			[]string{"on mail.hcl line 16", "privkey.pem leads to where user 65534, as which waxwing runs, may not look"}},
		{"a directory of certificates that cannot be read", files(fmt.Sprintf("directory = %q", archive)), 0o644, 3,
			[]string{"on mail.hcl line 16", "permission denied: let user 65534"}},
		{"a configuration that cannot be read", "", 0o600, 3, []string{"permission denied", "let user 65534, as which waxwing runs, read it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := n.file("mail.hcl", tt.config, tt.mode)
			status, out := n.run("run", "--config", config)
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
		})
	}
}

// TestDeniedAdmin: the socket of a server is closed to other users.
func TestDeniedAdmin(t *testing.T) {
	n := newTenant(t)
	p := newProcess(t, `relay "discard" "out" {}`)
	p.start()
	for dir := p.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(p.dir, "data")
	if err := os.Chmod(data, 0o711); err != nil { // so that it is the socket that says no
		t.Fatal(err)
	}
	status, out := n.run("health", "--admin", "unix:"+filepath.Join(data, "admin.sock"))
	if status != 4 || !strings.Contains(out, "permission denied") || !strings.Contains(out, "Ask as the user that runs the server, or as root.") {
		t.Errorf("status %d:\n%s", status, out)
	}
}
