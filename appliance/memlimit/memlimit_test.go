package memlimit

import (
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func files(contents map[string]string) fstest.MapFS {
	m := make(fstest.MapFS)
	for name, text := range contents {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// TestContainer: the least limit on the way from the group to the root counts,
// whatever the system calls it.
func TestContainer(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing": {nil, 0},
		"version 2, in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "67108864\n",
		}, 64 << 20},
		"version 2, a unit in a slice": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/waxwing.service\n",
			"sys/fs/cgroup/system.slice/waxwing.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                 "134217728\n",
		}, 128 << 20},
		"the path is that of the host": {map[string]string{
			"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": "1048576\n",
		}, 1 << 20},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "33554432\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, 32 << 20},
		"version 1, no limit": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		"no limit": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"noise":    {map[string]string{"proc/self/cgroup": "::::\nx\n0::/../..\n", "sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		if got := Container(files(c.files)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestAvailable: the machine, the container and GOMEMLIMIT, whichever is least.
func TestAvailable(t *testing.T) {
	machine := map[string]string{"proc/meminfo": "MemTotal:        1024 kB\nMemFree: 1 kB\n"}
	if got := Available(files(machine)); got != 1<<20 {
		t.Errorf("machine alone: %d", got)
	}
	machine["proc/self/cgroup"], machine["sys/fs/cgroup/memory.max"] = "0::/\n", "4096\n"
	if got := Available(files(machine)); got != 4096 {
		t.Errorf("in a container: %d", got)
	}
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	if got := Available(files(nil)); got != 1<<40 {
		t.Errorf("GOMEMLIMIT alone: %d", got)
	}
}
