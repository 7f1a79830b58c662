package main

import (
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// P9, R3: the real binary on a disk that really is full. Mail is answered 452,
// what is queued is delivered and recorded nevertheless, and when there is
// space again mail is accepted without a restart.
func TestFullDisk_P9(t *testing.T) {
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	var open atomic.Bool
	sink := newSink(t, func(m *appliancetest.SinkMessage) string {
		if !open.Load() {
			return "451 4.3.0 Not yet"
		}
		return book.got(m)
	})
	p := newProcess(t, smarthost(sink.Addr())+"\nlimits { min_free_disk = \"16MiB\" }\n")
	p.setting("queue { concurrency = 20 }", "queue {\n  concurrency = 20\n  retry = \"1s*\"\n}")
	disk := smallDisk(t, p, "160m")
	p.start()
	for n := range 50 {
		if err := submitOne(p, book, n); err != nil {
			t.Fatal(err)
		}
	}

	fill := filepath.Join(disk(), "fill")
	fillUp(t, fill)
	n := 100
	until(t, 10*time.Second, "the full disk is noticed", func() bool {
		n++ // what is accepted until then has found room and must arrive
		return submitOne(p, book, n) != nil
	})
	for range 5 {
		n++
		var said *textproto.Error
		err := submitOne(p, book, n)
		if !errors.As(err, &said) || said.Code != 452 || !strings.HasPrefix(said.Msg, "4.3.1 ") {
			t.Errorf("mail on a full disk is answered %v, want 452 4.3.1", err)
		}
	}
	open.Store(true)
	until(t, 30*time.Second, "what was queued is delivered from a full disk", func() bool { return book.missing() == 0 })

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "mail is accepted again", func() bool {
		n++
		return submitOne(p, book, n) == nil
	})
	until(t, 10*time.Second, "and delivered", func() bool { return book.missing() == 0 })
	p.terminate()
	book.mu.Lock()
	defer book.mu.Unlock()
	if len(book.arrived) != len(book.acked) {
		t.Errorf("%d messages arrived, %d were answered 250", len(book.arrived), len(book.acked))
	}
	for s, n := range book.arrived {
		if n != 1 || !book.acked[s] {
			t.Errorf("%s arrived %d times; answered 250: %v", s, n, book.acked[s])
		}
	}
}

// smallDisk gives the process a data directory on a disk of its own, and
// returns where others see it while the process runs.
func smallDisk(t *testing.T, p *process, size string) func() string {
	t.Helper()
	data := filepath.Join(p.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	p.wrap = []string{"unshare", "--mount", "sh", "-c",
		`mount -t tmpfs -o mode=0700,size=` + size + ` tmpfs "$0" && exec "$@"`, data}
	try := append(append([]string(nil), p.wrap...), "true")
	if out, err := exec.Command(try[0], try[1:]...).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("this test has to mount a disk: run it as root: %v\n%s", err, out)
		}
		t.Skipf("takes a mount, for which one has to be root: %v\n%s", err, out)
	}
	return func() string { return fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, data) }
}

// fillUp writes a file until nothing more goes onto the disk.
func fillUp(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []int{1 << 20, 4 << 10, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, piece))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

func submitOne(p *process, book *ledger, n int) error {
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		return err
	}
	defer c.Close()
	s := fmt.Sprintf("ledger 0 %d", n)
	_, err = c.Submit("app@example.com", []string{"someone@example.net"},
		appliancetest.Message("app@example.com", "someone@example.net", s, 4096))
	if err == nil {
		book.ack(s)
	}
	return err
}
