package cmd_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/cmd"
)

const plainConfig = `
hostname = "mail.example.com"
data_dir = "%[1]s/data"
%[2]s
listener "submission" "public" { address = "127.0.0.1:0" }
auth "static" "apps" { user "app" { password = "secret" } }
relay "discard" "out" {}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  relay     = relay.out
}
`

// aServer is a server in this process.
type aServer struct {
	dir, file string
	log       lockedBuffer
	stop      context.CancelFunc
	done      chan int
}

func startServer(t *testing.T, settings string) *aServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &aServer{dir: t.TempDir(), stop: cancel, done: make(chan int, 1)}
	s.file = filepath.Join(s.dir, "mail.hcl")
	s.configure(t, settings)
	go func() {
		s.done <- cmd.Run(ctx, []string{"run", "--config", s.file}, strings.NewReader(""), &s.log, &s.log)
	}()
	t.Cleanup(func() { s.end(t) })
	if status, out := s.ask("health", "--wait", "20s"); status != 0 {
		t.Fatalf("health: %d\n%s\n%s", status, out, s.log.String())
	}
	return s
}

func (s *aServer) configure(t *testing.T, settings string) {
	t.Helper()
	text := fmt.Sprintf(plainConfig, s.dir, strings.ReplaceAll(settings, "DIR", s.dir))
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *aServer) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case status := <-s.done:
		if status != 0 {
			t.Errorf("run ended with status %d:\n%s", status, s.log.String())
		}
		s.done <- 0
	case <-time.After(20 * time.Second):
		t.Fatalf("the server does not end:\n%s", s.log.String())
	}
}

func (s *aServer) ask(args ...string) (int, string) {
	var out lockedBuffer
	status := cmd.Run(context.Background(), append(args, "--config", s.file), strings.NewReader(""), &out, &out)
	return status, out.String()
}

// TestServiceManager: what systemd is told, SIGHUP included.
func TestServiceManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	told := func(want string) {
		t.Helper()
		b := make([]byte, 200)
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Fatalf("told %q, %v; want %q", b[:n], err, want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", path)
	s := startServer(t, "")
	told("READY=1")
	hangup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		told("RELOADING=1\nMONOTONIC_USEC=")
		told("READY=1")
	}
	hangup()
	if log := s.log.String(); !strings.Contains(log, `"msg":"reloaded"`) {
		t.Errorf("the log has no reload:\n%s", log)
	}
	s.configure(t, "nonsense")
	hangup()
	if log := s.log.String(); !strings.Contains(log, "the configuration did not change") || !strings.Contains(log, "mail.hcl:4") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	s.stop()
	told("STOPPING=1")
}

// TestReloadMovesEndpoints: admin and metrics addresses follow the file, and a
// reload that cannot have them changes nothing (P12).
func TestReloadMovesEndpoints(t *testing.T) {
	s := startServer(t, "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	old, next := "unix:"+s.dir+"/data/admin.sock", "unix:"+s.dir+"/b.sock"

	s.configure(t, fmt.Sprintf("admin { address = %q }\nmetrics { address = %q }", next, taken.Addr()))
	if status, out := s.ask("reload", "--admin", old); status != 1 || !strings.Contains(out, "metrics.address") {
		t.Errorf("the address is taken: %d\n%s", status, out)
	}
	if status, out := s.ask("health", "--admin", next); status != 4 {
		t.Errorf("the failed reload left a socket behind: %d\n%s", status, out)
	}

	s.configure(t, fmt.Sprintf("admin { address = %q }\nmetrics { address = \"127.0.0.1:0\" }", next))
	if status, out := s.ask("reload", "--admin", old); status != 0 {
		t.Fatalf("%d\n%s", status, out)
	}
	if status, out := s.ask("health"); status != 0 {
		t.Errorf("the new address: %d\n%s", status, out)
	}
	gone := time.Now().Add(10 * time.Second)
	for status := 0; status != 4; status, _ = s.ask("health", "--admin", old) {
		if time.Now().After(gone) {
			t.Fatal("the old address still answers")
		}
	}

	s.configure(t, "log { format = \"console\" }")
	if status, out := s.ask("reload", "--admin", next); status != 0 || !strings.Contains(out, "log.format takes effect when the server is restarted") {
		t.Errorf("%d\n%s", status, out)
	}
}

// TestEventsUntilInterrupted: events shows each event on a line, and ends in
// good order when it is interrupted.
func TestEventsUntilInterrupted(t *testing.T) {
	s := startServer(t, "")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- cmd.Run(ctx, []string{"events", "--config", s.file}, strings.NewReader(""), &out, &out)
	}()
	// What happens before it looks, it does not see.
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "delivered for <you@example.net>"); {
		if time.Now().After(deadline) {
			t.Fatalf("no event is shown:\n%s", out.String())
		}
		if status, said := s.ask("send", "--from", "app@example.com", "--to", "you@example.net", "--body", "hello", "--wait"); status != 0 {
			t.Fatalf("send: %d\n%s", status, said)
		}
	}
	interrupt()
	if status := <-done; status != 0 {
		t.Errorf("status %d:\n%s", status, out.String())
	}
	event := regexp.MustCompile(`^[0-9-]+ [0-9:]+ [0-9a-z]{20} [a-z_]+ `)
	for line := range strings.Lines(out.String()) {
		if !event.MatchString(line) {
			t.Errorf("no event: %q", line)
		}
	}
}

// TestReloadManyTimes is R12: no reload, good or bad, leaves anything behind.
func TestReloadManyTimes(t *testing.T) {
	s := startServer(t, "")
	files := func() int {
		t.Helper()
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(all)
	}
	s.ask("reload")
	before := files()
	times := 100
	if testing.Short() {
		times = 20
	}
	for i := range times {
		settings, want := fmt.Sprintf("limits { max_recipients = %d }", 100+i), 0
		if i%2 == 1 {
			settings, want = "nonsense", 3
		}
		s.configure(t, settings)
		if status, out := s.ask("reload", "--admin", "unix:"+s.dir+"/data/admin.sock"); status != want {
			t.Fatalf("reload %d: %d\n%s", i, status, out)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for files() > before+2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d open files before, %d after", before, files())
		}
	}
}
