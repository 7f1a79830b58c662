package disk

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// childEnv names the directory in which this test binary commits messages
// until it is killed.
const childEnv = "WAXWING_TEST_STORE"

// child prints the id of each message after its Commit.
func child(dir string) int {
	s := New()
	if err := s.Provision(&appliance.Context{DataDir: dir}); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := s.Start(context.Background()); err != nil {
		fmt.Println(err)
		return 2
	}
	l := newLedger()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := appliance.QueueID(fmt.Sprintf("w%di%d", w, i))
				if err := l.commit(s, id, childBody(string(id)), "a"); err != nil {
					fmt.Println(err)
					return
				}
				fmt.Println(id)
			}
		})
	}
	wg.Wait()
	return 3
}

// childBody is small for most messages and a file for some.
func childBody(id string) string {
	n := 100
	if strings.HasSuffix(id, "5") {
		n = large / len(id)
	}
	return strings.Repeat(id, n)
}

// runChild starts a child and returns its first n lines.
func runChild(t *testing.T, dir string, n int) (lines []string, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for sc := bufio.NewScanner(out); len(lines) < n && sc.Scan(); {
		lines = append(lines, sc.Text())
	}
	return lines, cmd
}

// TestKillP1 kills a process in the middle of its work. What it had said it
// committed is there, and the lock it held is not in the way.
func TestKillP1(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lines, cmd := runChild(t, dir, 200)
	err := newStore(t, nil, dir).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "process "+strconv.Itoa(cmd.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("P11: a second start while process %d runs: %v", cmd.Process.Pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	s := startStore(t, nil, dir)
	there := make(map[string]string)
	leased, err := leaseAll(s, testTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range leased {
		there[string(one.Key.ID)] = bodyOf(t, one)
	}
	if len(lines) != 200 {
		t.Fatalf("the child said %q", lines)
	}
	for _, id := range lines {
		if there[id] != childBody(id) {
			t.Errorf("message %s: body of %d octets, committed with %d", id, len(there[id]), len(childBody(id)))
		}
	}
}
