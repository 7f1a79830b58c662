package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on
// every Linux platform Go runs on.
const clockTick = 10 * time.Millisecond

// procStat is what a box asks of /proc/PID/stat.
type procStat struct {
	parent int
	state  byte
	cpu    time.Duration // of the process and of its children that were waited for
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads a line of proc_pid_stat(5). The name of the program may
// hold spaces and brackets: fields are counted from the last bracket.
func parseStat(line string) (procStat, error) {
	f := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(f) < 15 {
		return procStat{}, fmt.Errorf("/proc/PID/stat is too short: %q", line)
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil {
		return procStat{}, err
	}
	s := procStat{parent: parent, state: f[0][0]}
	for _, text := range f[11:15] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return procStat{}, err
		}
		s.cpu += time.Duration(n) * clockTick
	}
	return s, nil
}

// descendants are the roots that live and all processes below them.
func descendants(roots []int) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.state != 'Z' {
			children[s.parent] = append(children[s.parent], pid)
			children[-pid] = nil // it lives
		}
	}
	var all []int
	for _, pid := range roots {
		if _, lives := children[-pid]; lives {
			all = append(all, pid)
		}
	}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// sizes are what a process holds, in octets.
type sizes struct{ pss, rss, peak int64 }

// readSizes reads smaps_rollup and status. Of a process that has just ended
// it reads nothing, without an error.
func readSizes(pid int) (sizes, error) {
	var s sizes
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if gone(err) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if gone(err) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.pss, s.rss, s.peak = kib(rollup, "Pss:"), kib(status, "VmRSS:"), kib(status, "VmHWM:")
	return s, nil
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// kib is the value of a line such as "VmHWM:    1234 kB", in octets; 0 if it
// is not there.
func kib(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if f := bytes.Fields(rest); ok && len(f) > 0 {
			n, _ := strconv.ParseInt(string(f[0]), 10, 64) // the kernel writes digits
			return n << 10
		}
	}
	return 0
}
