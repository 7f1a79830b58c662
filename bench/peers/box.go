package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Box holds the processes of one peer and measures them: by a cgroup, or,
// where none can be made, by the tree of processes in /proc. In a tree,
// processes that have left their parents are not seen, which is why the peers
// that do this need root.
type Box struct {
	options BoxOptions
	group   *cgroup // nil: the tree of cmds counts

	mu   sync.Mutex
	cmds []*exec.Cmd
	logs []string // of strace, one for each command
}

// BoxOptions say what a box does beside measuring.
type BoxOptions struct {
	Name   string // of the cgroup; letters, digits, "-"
	Dir    string // for its own files; exists
	Trace  bool   // count what Flushes counts, which costs time: measure nothing else then
	SetUID bool   // see Needs; such a peer is traced without a filter, which is slower still
	Resolv string // a file that is /etc/resolv.conf in the box; "" for the machine's. Needs root
}

// NewBox makes an empty box. Close it.
func NewBox(o BoxOptions) (*Box, error) {
	b := &Box{options: o}
	group, err := newCgroup(fmt.Sprintf("waxwing-bench-%d-%s", os.Getpid(), o.Name))
	if err != nil && os.Geteuid() == 0 && surprises(err) {
		return nil, err
	}
	if err == nil {
		b.group = group
	}
	return b, nil
}

// surprises says whether an error of a cgroup is more than that there are
// none here.
func surprises(err error) bool {
	return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EROFS)
}

// Command is a command that runs in the box, once it is started. It has no
// environment but PATH and HOME, which is the box's directory. What it prints
// belongs into a file: a pipe would stay open for as long as a daemon that the
// command starts, or what traces it, and Wait would wait for that.
func (b *Box) Command(name string, args ...string) *exec.Cmd {
	argv := append(b.wrap(), name)
	argv = append(argv, args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + b.options.Dir, "LANG=C.UTF-8"}
	b.mu.Lock()
	b.cmds = append(b.cmds, cmd)
	b.mu.Unlock()
	return cmd
}

// flushCalls are the system calls that wait for the disk.
const flushCalls = "fsync,fdatasync,syncfs,sync,sync_file_range,msync"

// wrap is what a command is started by. Each part becomes the next one, so
// that the process that was started is the peer's.
func (b *Box) wrap() []string {
	var argv []string
	if b.options.Resolv != "" {
		argv = append(argv, "unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mount --bind "$0" /etc/resolv.conf && exec "$@"`, b.options.Resolv)
	}
	if b.group != nil {
		argv = append(argv, "sh", "-c", `echo $$ >"$0" && exec "$@"`, b.group.procs())
	}
	if b.options.Trace {
		argv = append(argv, b.strace()...)
	}
	return argv
}

// strace runs as the grandchild: a program that starts a daemon and ends
// would else not end before the daemon does.
func (b *Box) strace() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := filepath.Join(b.options.Dir, fmt.Sprintf("strace-%d", len(b.logs)))
	b.logs = append(b.logs, log)
	argv := []string{"strace", "-f", "-D", "-qq", "-e", "signal=none", "-e", "trace=" + flushCalls, "-o", log}
	if !b.options.SetUID {
		argv = append(argv, "--seccomp-bpf")
	}
	return append(argv, "--")
}

// Flushes is how many calls that wait for the disk there were so far. The
// box has to be one that traces.
func (b *Box) Flushes() (int, error) {
	if !b.options.Trace {
		return 0, errors.New("this box does not trace")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, log := range b.logs {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		n += countCalls(string(text))
	}
	return n, nil
}

// countCalls counts the lines of strace that begin a call. A call during
// which another process did something has two lines.
func countCalls(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, "(") && !strings.Contains(line, " resumed>") {
			n++
		}
	}
	return n
}

// pids are the processes in the box, in ascending order.
func (b *Box) pids() ([]int, error) {
	var list []int
	var err error
	if b.group != nil {
		list, err = b.group.pids()
	} else {
		list, err = descendants(b.started())
	}
	slices.Sort(list)
	return list, err
}

func (b *Box) started() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []int
	for _, c := range b.cmds {
		if c.Process != nil {
			list = append(list, c.Process.Pid)
		}
	}
	return list
}

// CPU is the user and system time of the peer so far.
func (b *Box) CPU() (time.Duration, error) {
	if b.group != nil {
		return b.group.cpu()
	}
	list, err := b.pids()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range list {
		s, err := readStat(pid)
		if err != nil && !gone(err) {
			return 0, err
		}
		sum += s.cpu
	}
	return sum, nil
}

// Kill ends what still runs in the box.
func (b *Box) Kill() error {
	for range 500 {
		list, err := b.pids()
		if err != nil || len(list) == 0 {
			return err
		}
		for _, pid := range list {
			// One that ended by itself meanwhile is no error.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("processes of %s do not end", b.options.Name)
}

// Close ends what still runs and removes the cgroup.
func (b *Box) Close() error {
	err := b.Kill()
	if b.group != nil {
		err = errors.Join(err, b.group.remove())
	}
	return err
}
