package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// onExt4 gives the process a data directory on the ext4 file system in image,
// and lets it try again soon.
func onExt4(t *testing.T, p *process, image string) {
	t.Helper()
	data := filepath.Join(p.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	p.setting("queue { concurrency = 20 }", "queue {\n  concurrency = 20\n  retry = \"1s*\"\n}")
	p.wrap = []string{"unshare", "--mount", "sh", "-c",
		`mount -o loop "$0" "$1" && chmod 0700 "$1" && rm -rf "$1/lost+found" && shift && exec "$@"`, image, data}
}

// newExt4 makes a file system, or skips the test where none can be mounted.
func newExt4(t *testing.T, image string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test has to mount a disk: run it as root")
		}
		t.Skip("takes a mount, for which one has to be root")
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 160<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
}

// A diskMoment is a disk as a power cut leaves it: what had been written to it,
// without what was in the memory of the kernel. known and arrived are of that
// moment, too.
type diskMoment struct {
	image          string
	known, arrived map[string]bool
}

// cutPower copies the disk of a running server. The server stands still
// meanwhile; the kernel may write, so a copy counts only if the disk is the
// same when it is compared.
func cutPower(t *testing.T, p *process, book *ledger, image, to string) diskMoment {
	t.Helper()
	m := diskMoment{image: to, known: make(map[string]bool), arrived: make(map[string]bool)}
	book.mu.Lock()
	maps.Copy(m.known, book.acked)
	book.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "the disk stands still", func() bool {
		if out, err := exec.Command("cp", "--sparse=always", image, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
		return exec.Command("cmp", "-s", image, to).Run() == nil
	})
	book.mu.Lock()
	for s := range book.arrived {
		m.arrived[s] = true
	}
	book.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	return m
}

// waits is the mail of half of the clients.
var waits = regexp.MustCompile(`(?m)^Subject: ledger [0-3] `)

// P1, P3, R7: the power is cut at random moments under load, on a real file system
// with a real kernel: the disk is copied, and a server starts on the copy.
func TestPowerCutExt4_R7(t *testing.T) {
	const moments, clients, seed = 5, 8, 1
	if testing.Short() {
		t.Skip("takes ten seconds; the plain go test ./... runs it")
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "disk.ext4")
	newExt4(t, image)
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	sink := newSink(t, func(m *appliancetest.SinkMessage) string {
		if waits.Match(m.Data) {
			return "451 4.2.1 Later" // so that much is queued at each cut
		}
		return book.got(m)
	})
	p := newProcess(t, smarthost(sink.Addr())+"\nlimits { min_free_disk = \"16MiB\" }\n")
	onExt4(t, p, image)
	p.start()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { submitUntil(stop, p, book, c) })
	}
	rng := rand.New(rand.NewPCG(seed, seed))
	var cuts []diskMoment
	for i := range moments {
		time.Sleep(time.Duration(200+rng.IntN(400)) * time.Millisecond)
		cuts = append(cuts, cutPower(t, p, book, image, filepath.Join(dir, fmt.Sprintf("cut%d.ext4", i))))
	}
	close(stop)
	wg.Wait()
	p.kill()
	looked, recovered := 0, 0
	for _, m := range cuts {
		recovered += m.check(t)
		looked += len(m.known)
	}
	t.Logf("%d messages known at the cuts, %d sent afterwards", looked, recovered)
	if looked < 50 || recovered < 20 {
		t.Error("the test shows nothing")
	}
	figures(t, "power cuts of a real disk (ext4), under load", moments, looked)
}

// check starts a server on the disk: what was answered 250 arrives, or had
// arrived before. It returns how much arrives.
func (m diskMoment) check(t *testing.T) int {
	t.Helper()
	var mu sync.Mutex
	arrived := make(map[string]bool)
	sink := newSink(t, func(got *appliancetest.SinkMessage) string {
		s := subject.FindSubmatch(got.Data)
		_, body, _ := bytes.Cut(got.Data, []byte("\r\n\r\n"))
		mu.Lock()
		defer mu.Unlock()
		if s == nil {
			t.Errorf("P3: %s: a message of nobody", m.image)
			return ""
		}
		sent := appliancetest.Message("app@example.com", "someone@example.net", string(s[1]), 4096)
		if _, want, _ := bytes.Cut(sent, []byte("\r\n\r\n")); !bytes.Equal(body, want) {
			t.Errorf("P3: %s: %s arrived torn", m.image, s[1])
		}
		arrived[string(s[1])] = true
		return ""
	})
	p := newProcess(t, smarthost(sink.Addr())+"\nlimits { min_free_disk = \"16MiB\" }\n")
	onExt4(t, p, m.image)
	p.start()
	until(t, 30*time.Second, "what was answered 250 before the cut arrives", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for s := range m.known {
			if !m.arrived[s] && !arrived[s] {
				return false
			}
		}
		return true
	})
	p.kill()
	mu.Lock()
	defer mu.Unlock()
	return len(arrived)
}
