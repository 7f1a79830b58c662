package peers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cgroup is where the kernel accounts for the processes of a box, also for
// those that have ended. In version 1 it is one of the controller cpuacct.
type cgroup struct {
	path string
	v2   bool
}

const cgroupRoot = "/sys/fs/cgroup"

// newCgroup fails where cgroups are not ours to make.
func newCgroup(name string) (*cgroup, error) {
	g := &cgroup{path: filepath.Join(cgroupRoot, "cpuacct", name)}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		g = &cgroup{path: filepath.Join(cgroupRoot, name), v2: true}
	}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, err
	}
	if err := g.tryIt(); err != nil {
		return nil, errors.Join(err, os.Remove(g.path))
	}
	return g, nil
}

// tryIt says whether a process could be moved there: a directory that can be
// made is no promise of that.
func (g *cgroup) tryIt() error {
	f, err := os.OpenFile(g.procs(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func (g *cgroup) procs() string { return filepath.Join(g.path, "cgroup.procs") }

func (g *cgroup) pids() ([]int, error) {
	b, err := os.ReadFile(g.procs())
	if err != nil {
		return nil, err
	}
	return numbers(string(b))
}

func numbers(text string) ([]int, error) {
	var list []int
	for _, f := range strings.Fields(text) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// cpu is what all processes that were ever in it have used.
func (g *cgroup) cpu() (time.Duration, error) {
	if g.v2 {
		b, err := os.ReadFile(filepath.Join(g.path, "cpu.stat"))
		if err != nil {
			return 0, err
		}
		return cpuStat(string(b))
	}
	b, err := os.ReadFile(filepath.Join(g.path, "cpuacct.usage"))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return time.Duration(n), err
}

// cpuStat reads usage_usec of a cpu.stat.
func cpuStat(text string) (time.Duration, error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "usage_usec" {
			n, err := strconv.ParseInt(value, 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("no usage_usec in cpu.stat: %q", text)
}

func (g *cgroup) remove() error { return os.Remove(g.path) }
