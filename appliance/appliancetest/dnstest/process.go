package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// attempts is how often a server is started before it is given up: another
// process may take the port first.
const attempts = 5

// need finds a program, or skips the test: in CI it fails.
func need(t testing.TB, name, debian string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: .ci/run should have seen to it", name)
	}
	t.Skipf("%s is not installed (Debian: apt install %s)", name, debian)
	return ""
}

// run starts a server and returns when ready does, which is to give up when
// the context ends. The server is stopped when the test ends.
func run(t testing.TB, ready func(context.Context) error, program string, args ...string) error {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Second, errors.New("it does not answer"))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); fail(errors.New("it ended at the start")); close(ended) }()
	stop := func() { terminate(cmd.Process, ended) }
	if err := ready(ctx); err != nil {
		stop()
		return fmt.Errorf("%s: %w\n%s", program, err, out.String())
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s:\n%s", program, out.String())
		}
	})
	return nil
}

func terminate(p *os.Process, ended <-chan struct{}) {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = p.Kill()
		<-ended
	}
}

// poll asks until the answer is nil or the context ends.
func poll(ctx context.Context, ask func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// freePort finds a port of loopback that is free for UDP and TCP.
func freePort() (int, error) {
	for range 20 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = u.Close()
		return port, nil
	}
	return 0, errors.New("no port is free for UDP and TCP")
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// tempDir is a directory that is removed when the test ends. It is not one of
// t.TempDir: its path must be short enough for a control socket.
func tempDir(t testing.TB, name string) (string, error) {
	dir, err := os.MkdirTemp("", name)
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	return dir, err
}
