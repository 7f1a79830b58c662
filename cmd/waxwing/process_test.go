package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// The tests of this package run the real binary as a process, and software
// that no one here wrote as its clients and next hops.

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "waxwing-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "waxwing")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// process is a running server.
type process struct {
	t      *testing.T
	config string
	dir    string
	submit string   // STARTTLS and AUTH
	tls    string   // implicit TLS
	wrap   []string // a command that runs the server
	cmd    *exec.Cmd
	log    lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const password = "correct horse"

const configuration = `
hostname = "mail.example.com"
data_dir = %q

queue { concurrency = 20 }

listener "submission" "apps" { address = %q }
listener "submissions" "apps_tls" { address = %q }

auth "static" "apps" {
  user "app" { password = env("APP_PASSWORD") }
}

check "senders" "own" { allow = { app = ["@example.com"] } }

signer "dkim" "example" { domains = ["example.com"] }

%s

pipeline "outgoing" {
  listeners = [listener.apps, listener.apps_tls]
  auth      = [auth.apps]
  checks    = [check.own]
  signers   = [signer.example]
  relay     = relay.out
}
`

// newProcess writes a configuration that hands everything to relay.out, which
// is the block given.
func newProcess(t *testing.T, relay string) *process {
	p := &process{t: t, dir: t.TempDir(), submit: freeAddress(t), tls: freeAddress(t)}
	p.config = filepath.Join(p.dir, "mail.hcl")
	text := fmt.Sprintf(configuration, filepath.Join(p.dir, "data"), p.submit, p.tls, relay)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of the server:\n%s", p.log.String())
		}
	})
	return p
}

// smarthost is the relay block for a next hop on loopback.
func smarthost(address string) string {
	return fmt.Sprintf("relay \"smarthost\" \"out\" {\n  address = %q\n  tls = \"none\"\n}", address)
}

// setting exchanges one setting in the configuration for another.
func (p *process) setting(old, replacement string) {
	p.t.Helper()
	src, err := os.ReadFile(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	if !bytes.Contains(src, []byte(old)) {
		p.t.Fatalf("the configuration has no %q", old)
	}
	src = bytes.Replace(src, []byte(old), []byte(replacement), 1)
	if err := os.WriteFile(p.config, src, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := appliancetest.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// readyText is said after the last listener and the admin socket are there.
const readyText = `"msg":"ready"`

// start returns when the server is ready.
func (p *process) start() {
	p.t.Helper()
	before := p.log.Count(readyText)
	p.launch()
	until(p.t, 20*time.Second, "the server is ready", func() bool {
		if p.ended() {
			p.t.Fatal("the server has ended instead of starting")
		}
		return p.log.Count(readyText) > before
	})
}

// launch starts the process.
func (p *process) launch() {
	p.t.Helper()
	args := append(append([]string(nil), p.wrap...), binary, "run", "--config", p.config)
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(os.Environ(), "APP_PASSWORD="+password)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// ended says whether the process waits for somebody to take its exit status.
func (p *process) ended() bool { return p.state("Z") }

// state says whether the process is in a state of proc(5).
func (p *process) state(letter string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	return err == nil && bytes.Contains(stat, []byte(") "+letter+" "))
}

func (p *process) kill() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

// terminate asks the server to stop, which must succeed.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("SIGTERM: %v, exit status 0 wanted", err)
	}
	p.cmd = nil
}

// run runs a command of the waxwing program against the server.
func (p *process) run(args ...string) string {
	p.t.Helper()
	out, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("waxwing %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// try is run for a command that may fail.
func (p *process) try(args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--config", p.config)...)
	cmd.Env = append(os.Environ(), "APP_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *process) login() appliancetest.SubmitConfig {
	return appliancetest.SubmitConfig{
		Address: p.submit, User: "app", Password: password,
		TLS: &tls.Config{InsecureSkipVerify: true}, // the certificate is self-signed
	}
}

// until waits for something that is going to happen.
func until(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v in vain until %s", limit, what)
		}
	}
}

// inbox is what a sink has received.
type inbox struct {
	mu   sync.Mutex
	mail []*appliancetest.SinkMessage
}

func (b *inbox) got(m *appliancetest.SinkMessage) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep := *m
	b.mail = append(b.mail, &keep)
	return ""
}

func (b *inbox) all() []*appliancetest.SinkMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*appliancetest.SinkMessage(nil), b.mail...)
}

func newSink(t *testing.T, got func(*appliancetest.SinkMessage) string) *appliancetest.Sink {
	s, err := appliancetest.ListenSink("127.0.0.1:0", got)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
