package peers

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 9 0 100 1 2\n"
	s, err := parseStat(line)
	if err != nil || s.parent != 7 || s.state != 'S' || s.cpu != 2500*time.Millisecond {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := parseStat("42 (short) S 7"); err == nil {
		t.Error("half a line was read")
	}
}

func TestCPUStat(t *testing.T) {
	d, err := cpuStat("user_usec 3\nusage_usec 1500000\nsystem_usec 2\n")
	if err != nil || d != 1500*time.Millisecond {
		t.Errorf("got %v, %v", d, err)
	}
	if _, err := cpuStat("user_usec 3\n"); err == nil {
		t.Error("a cpu.stat without usage_usec was read")
	}
}

func TestCountCalls(t *testing.T) {
	const text = "10 fsync(3 <unfinished ...>\n11 fdatasync(4) = 0\n10 <... fsync resumed>) = 0\n12 +++ exited with 0 +++\n"
	if n := countCalls(text); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestKib(t *testing.T) {
	if n := kib([]byte("Name:\tx\nVmHWM:\t    12 kB\nVmRSS: 3 kB\n"), "VmHWM:"); n != 12<<10 {
		t.Errorf("%d octets", n)
	}
	if n := kib([]byte("Name:\tx\n"), "VmHWM:"); n != 0 {
		t.Errorf("%d octets of nothing", n)
	}
}

// A box sees what a child of a child does, and ends it; with a cgroup and
// without.
func TestBox(t *testing.T) {
	for _, tree := range []bool{true, false} {
		b, err := NewBox(BoxOptions{Name: "test", Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if tree && b.group != nil {
			if err := b.group.remove(); err != nil {
				t.Fatal(err)
			}
			b.group = nil
		}
		busyBox(t, b)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if list, err := descendants(b.started()); err != nil || len(list) != 0 {
			t.Errorf("%v live, %v", list, err)
		}
	}
}

// busyBox runs a process of a process that uses 200 ms and then waits.
func busyBox(t *testing.T, b *Box) {
	cmd := b.Command("sh", "-c", `sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; exec sleep 60' & wait`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	cpu, err := b.CPU()
	if err != nil || cpu < 20*time.Millisecond {
		t.Errorf("it has used %v, %v", cpu, err)
	}
	m, err := b.Memory()
	if err != nil || m.Processes != 2 || m.PSS == 0 || m.RSS < m.PSS || m.Peak < m.RSS {
		t.Errorf("it holds %+v, %v", m, err)
	}
	most, err := b.Watch().Stop()
	if err != nil || most == 0 {
		t.Errorf("at most %d, %v", most, err)
	}
	if err := b.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed
}

// A box that traces counts what waits for the disk, and no other call.
func TestBoxFlushes(t *testing.T) {
	if _, err := os.Stat("/usr/bin/strace"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs strace")
		}
		t.Skip("strace is not installed")
	}
	dir := t.TempDir()
	b, err := NewBox(BoxOptions{Name: "flushes", Dir: dir, Trace: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	file := filepath.Join(dir, "x")
	// dd's conv=fsync is one call.
	for range 2 {
		if out, err := b.Command("dd", "if=/dev/zero", "of="+file, "bs=1", "count=1", "conv=fsync").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for range 100 {
		if n, err := b.Flushes(); err != nil || n == 2 {
			return
		}
		time.Sleep(10 * time.Millisecond) // strace writes when it gets to it
	}
	n, err := b.Flushes()
	t.Errorf("%d calls, %v; want 2", n, err)
}
