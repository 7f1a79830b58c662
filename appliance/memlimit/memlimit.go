// Package memlimit finds out how much memory this process may use before the
// system kills it: what GOMEMLIMIT says, the limit of its control groups, which
// is that of its container, and what the machine has. The least of them counts.
package memlimit

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Available returns how much memory the process may use, in octets, and 0 if
// that cannot be found out. root is the root of the file system.
func Available(root fs.FS) int64 {
	least := min(debug.SetMemoryLimit(-1), orNone(Container(root)), orNone(machine(root)))
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// Container returns the limit of the control groups that the process is in,
// and 0 if there is none.
func Container(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	for _, g := range groups(root) {
		least = min(least, orNone(g.limit(root)))
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// unlimited is what version 1 says for no limit: the largest multiple of a page,
// of which this is less than any, and more than any machine has.
const unlimited = 1 << 62

func orNone(n int64) int64 {
	if n <= 0 || n >= unlimited {
		return math.MaxInt64
	}
	return n
}

// A group is one control group of the process: where its hierarchy is mounted
// by custom, its path in there, and the file that has the limit.
type group struct{ mount, path, file string }

// groups reads /proc/self/cgroup: cgroups(7), "hierarchy-ID:controller-list:path".
func groups(root fs.FS) []group {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	var all []group
	for line := range strings.SplitSeq(string(text), "\n") {
		id, rest, _ := strings.Cut(line, ":")
		controllers, at, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case id == "0" && controllers == "": // version 2
			all = append(all, group{"sys/fs/cgroup", at, "memory.max"})
		case controllers == "memory": // version 1
			all = append(all, group{"sys/fs/cgroup/memory", at, "memory.limit_in_bytes"})
		}
	}
	return all
}

// limit is the least limit of the group and of those that it is in. Within a
// container the path may be that of the host, where nothing is: then the mount
// itself is the group.
func (g group) limit(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	for at := path.Clean("/" + g.path); ; at = path.Dir(at) {
		text, err := fs.ReadFile(root, path.Join(g.mount, at, g.file))
		if n, bad := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && bad == nil { // "max" is none
			least = min(least, orNone(n))
		}
		if at == "/" {
			break
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// machine is the memory of the machine: proc_meminfo(5).
func machine(root fs.FS) int64 {
	f, err := root.Open("proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 3 && words[0] == "MemTotal:" && words[2] == "kB" {
			n, err := strconv.ParseInt(words[1], 10, 53)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
