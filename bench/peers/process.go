package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

const (
	// installed is where install.sh puts what is not a Debian package.
	installed = "/usr/local/lib/waxwing-peers"
	// install is what the error of a missing program ends with.
	install = "run bench/peers/install.sh"

	// user is who a server runs as that does not change its user itself: one
	// of every Debian, that owns nothing.
	user = "mail"
)

// plan is what the configurations of the peers are made of: the templates
// execute with it.
type plan struct {
	Setup
	Host, Port         string // of Address
	NextHost, NextPort string // of NextHop
	Installed          string

	Hostname, SenderDomain, Selector string
	User, Password                   string

	MaxConnections, MaxMessageSize, MaxQueue int
}

func newPlan(s Setup) (plan, error) {
	p := plan{
		Setup: s, Installed: installed,
		Hostname: Hostname, SenderDomain: SenderDomain, Selector: Selector, User: User, Password: Password,
		MaxConnections: MaxConnections, MaxMessageSize: MaxMessageSize, MaxQueue: MaxQueue,
	}
	var err, err2 error
	p.Host, p.Port, err = net.SplitHostPort(s.Address)
	p.NextHost, p.NextPort, err2 = net.SplitHostPort(s.NextHop)
	return p, errors.Join(err, err2)
}

// write executes a template into a file below the directory.
func (p plan) write(name, text string) error { return p.fill(name, text, p) }

// fill is write with more than the plan.
func (p plan) fill(name, text string, with any) error {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, with); err != nil {
		return err
	}
	path := p.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func (p plan) path(name string) string { return filepath.Join(p.Dir, name) }

// own copies a file below the directory for one owner alone: there are
// programs that take no key that others may read. give gives it away.
func (p plan) own(from, name string, to owner) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(p.path(name), b, 0o600); err != nil {
		return err
	}
	return os.Chown(p.path(name), to.uid, to.gid)
}

// command runs as user.
func (p plan) command(box *Box, name string, args ...string) *exec.Cmd {
	return box.Command("setpriv", append([]string{"--reuid", user, "--regid", user, "--clear-groups", name}, args...)...)
}

// give makes user the owner of everything in the directory.
func (p plan) give() error {
	ids, err := account(user)
	if err != nil {
		return err
	}
	return filepath.WalkDir(p.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, ids.uid, ids.gid)
	})
}

// owner is of a line of /etc/passwd.
type owner struct{ uid, gid int }

// root is who this is.
var root owner

// account finds a user of the machine.
func account(name string) (owner, error) {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return owner{}, err
	}
	for line := range bytes.Lines(b) {
		f := strings.Split(string(line), ":")
		if len(f) < 4 || f[0] != name {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		return owner{uid, gid}, errors.Join(err, err2)
	}
	return owner{}, fmt.Errorf("there is no user %s: %s", name, install)
}

// present says how to install a program that is not there.
func present(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: %s", err, install)
	}
	return nil
}

// firstLine is the first line that a command prints.
func firstLine(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, install)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first), nil
}

// debian is the version of a Debian package that is installed.
func debian(name string) (string, error) {
	return firstLine("dpkg-query", "-W", "-f", "${Version}", name)
}

// process is a program that runs in the foreground until it is told to end.
type process struct {
	box  *Box
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// launch starts a command that writes to the file log.
func launch(box *Box, cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &process{box: box, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState says how
		close(r.done)
	}()
	return r, nil
}

// listens waits until somebody listens on an address of network "tcp" or
// "unix"; that takes seconds at most.
func (r *process) listens(network, address string) error {
	for end := time.Now().Add(listenTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial(network, address); err == nil {
			return c.Close()
		}
		select {
		case <-r.done:
			return r.ended()
		default:
		}
	}
	return errors.Join(fmt.Errorf("nobody listens on %s after %v: the end of %s:\n%s", address, listenTime, r.log, r.tail()), r.end(syscall.SIGKILL))
}

// ended is the error of one that has ended by itself.
func (r *process) ended() error {
	return fmt.Errorf("it has ended, %s: the end of %s:\n%s", r.cmd.ProcessState, r.log, r.tail())
}

// stop ends one that should still run, and everything that it has started.
func (r *process) stop() error {
	select {
	case <-r.done:
		return r.ended()
	default:
	}
	return errors.Join(r.end(syscall.SIGTERM), settle(r.box))
}

// endTime is how long a server may take to end, deliveries included.
const endTime = 30 * time.Second

// end sends a signal and waits until the process has ended, however that may
// be. If it has ended before, there is nothing to do.
func (r *process) end(signal syscall.Signal) error {
	if err := r.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-r.done:
		return nil
	case <-time.After(endTime):
	}
	err := r.cmd.Process.Kill()
	<-r.done
	return errors.Join(fmt.Errorf("it did not end within %v: the end of %s:\n%s", endTime, r.log, r.tail()), err)
}

// tail is the end of the log.
func (r *process) tail() string {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// settle waits until the last process of a box has ended by itself.
func settle(box *Box) error {
	for end := time.Now().Add(endTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if list, err := box.pids(); err != nil || len(list) == 0 {
			return err
		}
	}
	return errors.Join(errors.New("processes are left that do not end"), box.Kill())
}
