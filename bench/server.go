package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a waxwing process.
type server struct {
	bin     string
	wrap    []string  // what the program is started by, if not by us
	cmd     *exec.Cmd // nil while it does not run
	address string
	dir     string
}

// build compiles the binary that is measured, as the Dockerfile does.
func build(dir string) (string, error) { return buildAt(dir, "./cmd/waxwing") }

func buildAt(dir, pkg string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	bin, err := filepath.Abs(filepath.Join(dir, "waxwing"))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return bin, cmd.Run()
}

func (s *server) config() string { return filepath.Join(s.dir, "mail.hcl") }

// start starts the process and waits until it listens.
func (s *server) start() error {
	cmd := s.command("run")
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	return s.wait()
}

func (s *server) wait() error {
	for range 2000 {
		if c, err := net.Dial("tcp", s.address); err == nil {
			return c.Close()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("waxwing did not begin to listen within 10 s")
}

// end ends the process, if there is one, and leaves its data.
func (s *server) end() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err := s.cmd.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: waxwing:", err)
	}
	s.cmd = nil
}

func (s *server) command(args ...string) *exec.Cmd {
	all := append(append(slices.Clone(s.wrap), s.bin), append(args, "--config", s.config())...)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Stderr = os.Stderr
	return cmd
}

func (s *server) proc(name string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name))
	return string(b), err
}

// status is a size of /proc/PID/status, in MiB.
func (s *server) status(name string) (float64, error) {
	status, err := s.proc("status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(status, name)
	if !ok {
		return 0, fmt.Errorf("no %s in /proc/PID/status", name)
	}
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kib / 1024, err
}
