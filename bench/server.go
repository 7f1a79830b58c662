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

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
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

const configuration = `
hostname = "bench.example.com"
data_dir = %q

log { level = "error" }
limits { max_connections_per_ip = 1000 }

listener "submission" "in" {
  address = %q
  trusted = ["127.0.0.0/8"]
}

relay "smarthost" "sink" { address = %q  tls = "none" }

%s
pipeline "bench" {
  listeners = [listener.in]
  relay     = relay.sink
  %s
}
`

// startServer starts a server with a data directory of its own, which stop
// removes.
func startServer(dir, bin, sink string, t traffic) (*server, error) {
	data, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, err
	}
	if data, err = filepath.Abs(data); err != nil {
		return nil, err
	}
	address, err := appliancetest.FreeAddress()
	if err != nil {
		return nil, err
	}
	signer, signers := "", `unsigned = "allow"`
	if t.signed {
		signer, signers = `signer "dkim" "example" { domains = ["example.com"] }`, "signers = [signer.example]"
	}
	text := fmt.Sprintf(configuration, data, address, sink, signer, signers)
	s := &server{bin: bin, address: address, dir: data}
	err = os.WriteFile(s.config(), []byte(text), 0o600)
	if err == nil {
		err = s.start()
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
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

// stop ends the process and removes its data.
func (s *server) stop() {
	s.end()
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// run runs a command of the program against the server.
func (s *server) run(args ...string) error { return s.command(args...).Run() }

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

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on
// every Linux platform Go runs on.
const clockTick = 10 * time.Millisecond

// cpu is the user and system time of the process so far.
func (s *server) cpu() (time.Duration, error) {
	stat, err := s.proc("stat")
	if err != nil {
		return 0, err
	}
	// The name of the program may hold spaces: count from the last bracket.
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	var ticks int64
	for _, text := range f[11:13] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// peakRSS is the largest resident set of the process so far, in MiB.
func (s *server) peakRSS() (float64, error) { return s.status("VmHWM:") }

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
