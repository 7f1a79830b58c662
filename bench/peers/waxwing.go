package peers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// waxwing is the program of this repository, built as one of its variants.
type waxwing struct {
	name  string
	flags []string // of go build
	signs string   // what the log says if another library signs than Go's own

	build func() (string, error) // the binary, made once
}

// Waxwing is the static binary with everything as it is by default.
func Waxwing() Peer { return newWaxwing("waxwing", "") }

// WaxwingLibcrypto is the optional build that signs with the system's OpenSSL.
func WaxwingLibcrypto() Peer {
	return newWaxwing("waxwing-libcrypto", "RSA signatures are made by libcrypto", "-tags", "libcrypto")
}

func newWaxwing(name, signs string, flags ...string) Peer {
	w := &waxwing{name: name, signs: signs, flags: flags}
	w.build = sync.OnceValues(w.compile)
	return w
}

func (w *waxwing) Name() string { return w.name }

func (w *waxwing) Version() (string, error) {
	bin, err := w.build()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(bin, "version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return first, err
}

// compile builds the binary as the Dockerfile does.
func (w *waxwing) compile() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	bin := filepath.Join(root, "bench", "work", w.name)
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-o", bin}, append(w.flags, "./cmd/waxwing")...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return bin, nil
}

// waxwingConfig leaves everything at its default but what 600 connections of
// one address need.
const waxwingConfig = `
hostname = %q
data_dir = %q

limits {
  max_connections_per_ip   = %d
  max_connections_per_user = %[3]d
}

listener "submission" "in" {
  address = %q
  %s
}

relay "smarthost" "sink" {
  address = %q
  tls     = "none"
}

%s
pipeline "bench" {
  listeners = [listener.in]
  relay     = relay.sink
  %s
}
`

func (w *waxwing) Start(box *Box, s Setup) (Server, error) {
	bin, err := w.build()
	if err != nil {
		return nil, err
	}
	text, err := waxwingText(bin, s)
	if err != nil {
		return nil, err
	}
	r := &waxwingServer{peer: w, box: box, setup: s, bin: bin}
	if err := os.WriteFile(r.file("mail.hcl"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	return r, r.start()
}

// WaxwingData is the data directory of Waxwing in a setup.
func WaxwingData(s Setup) string { return filepath.Join(s.Dir, "data") }

// WaxwingDestination is what Waxwing calls the next hop of a setup in its
// queue.
func WaxwingDestination(nextHop string) string { return "sink/" + nextHop }

// waxwingText is the configuration of a setup.
func waxwingText(bin string, s Setup) (string, error) {
	access, blocks, uses := `trusted = ["127.0.0.0/8"]`, "", []string(nil)
	if s.Login {
		hash, err := waxwingHash(bin)
		if err != nil {
			return "", err
		}
		access = ""
		blocks += fmt.Sprintf("tls \"files\" \"bench\" {\n  certificate = %q\n  key = %q\n}\n", s.Keys.TLSCert, s.Keys.TLSKey)
		blocks += fmt.Sprintf("auth \"static\" \"bench\" {\n  user %q { password_hash = %q }\n}\n", User, hash)
		blocks += fmt.Sprintf("check \"senders\" \"bench\" { allow = { %q = [%q] } }\n", User, "@"+SenderDomain)
		uses = append(uses, "auth = [auth.bench]", "checks = [check.bench]")
	}
	if s.Sign {
		blocks += fmt.Sprintf("signer \"dkim\" \"bench\" {\n  key %q {\n    domain = %q\n    file = %q\n  }\n}\n", Selector, SenderDomain, s.Keys.DKIMPKCS1)
		uses = append(uses, "signers = [signer.bench]")
	} else {
		uses = append(uses, `unsigned = "allow"`)
	}
	return fmt.Sprintf(waxwingConfig, Hostname, WaxwingData(s), MaxConnections,
		s.Address, access, s.NextHop, blocks, strings.Join(uses, "\n  ")), nil
}

// waxwingHash is the hash of the password as an administrator makes it.
func waxwingHash(bin string) (string, error) {
	cmd := exec.Command(bin, "hash-password")
	cmd.Stdin = strings.NewReader(Password + "\n")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

type waxwingServer struct {
	peer  *waxwing
	box   *Box
	setup Setup
	bin   string
	cmd   *exec.Cmd
}

func (r *waxwingServer) file(name string) string { return filepath.Join(r.setup.Dir, name) }

func (r *waxwingServer) start() error {
	log, err := os.OpenFile(r.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r.cmd = r.box.Command(r.bin, "run", "--config", r.file("mail.hcl"))
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	if err := WaitListening(r.setup.Address); err != nil {
		return errors.Join(err, r.Stop(), errors.New(r.log()))
	}
	return r.checkSigner()
}

// checkSigner refuses to measure a library that is not used.
func (r *waxwingServer) checkSigner() error {
	if log := r.log(); r.setup.Sign && !strings.Contains(log, r.peer.signs) {
		return errors.Join(fmt.Errorf("%s: the log does not say %q: %s", r.peer.name, r.peer.signs, log), r.Stop())
	}
	return nil
}

func (r *waxwingServer) log() string {
	b, err := os.ReadFile(r.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Flush is the command that an administrator uses.
func (r *waxwingServer) Flush() error {
	cmd := exec.Command(r.bin, "queue", "retry", "--recipient", "@"+RecipientDomain, "--config", r.file("mail.hcl"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("waxwing queue retry: %w: %s", err, out)
	}
	return nil
}

// Queued is how many deliveries wait.
func (r *waxwingServer) Queued() (int, error) {
	out, err := exec.Command(r.bin, "queue", "list", "--count", "--config", r.file("mail.hcl")).Output()
	if err != nil {
		return 0, fmt.Errorf("waxwing queue list --count: %w", err)
	}
	number, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return strconv.Atoi(number)
}

func (r *waxwingServer) Stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("waxwing: %w: %s", err, r.log())
	}
	return nil
}

// listenTime is how long a server may take until it listens.
const listenTime = 30 * time.Second

// WaitListening returns when somebody listens on a TCP address.
func WaitListening(address string) error {
	for end := time.Now().Add(listenTime); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nobody listens on %s after %v", address, listenTime)
}
