package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// soakDisk is an ext4 file system in a file, mounted for a soak alone: in a
// mount namespace of a process that lives as long as its standard input is
// open, so that nothing is left mounted however the soak ends.
type soakDisk struct {
	holder *exec.Cmd
	input  io.Closer
	data   string // the mount point
}

// soakDiskSize is large enough for a backlog and small enough to be filled
// in a moment.
const soakDiskSize = 512 << 20

// mayMount says whether newSoakDisk has a chance.
func mayMount() bool { return os.Geteuid() == 0 }

func newSoakDisk(dir string) (*soakDisk, error) {
	d := &soakDisk{data: filepath.Join(dir, "data")}
	image := filepath.Join(dir, "disk.ext4")
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(soakDiskSize), f.Close(), os.Mkdir(d.data, 0o700)); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return d, d.mount(image)
}

func (d *soakDisk) mount(image string) error {
	const script = `mount -o loop "$0" "$1" && chmod 0700 "$1" && rmdir "$1/lost+found" && echo mounted && exec cat`
	d.holder = exec.Command("unshare", "--mount", "sh", "-c", script, image, d.data)
	d.holder.Stderr = os.Stderr
	in, err := d.holder.StdinPipe()
	if err != nil {
		return err
	}
	out, err := d.holder.StdoutPipe()
	if err != nil {
		return err
	}
	d.input = in
	if err := d.holder.Start(); err != nil {
		return err
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
		return errors.Join(fmt.Errorf("cannot mount %s: be root", image), d.release())
	}
	return nil
}

// wrap runs a command where the disk is mounted. nsenter becomes the command.
func (d *soakDisk) wrap() []string {
	return []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", d.holder.Process.Pid), "--"}
}

// path is where everybody else finds a file on the disk.
func (d *soakDisk) path(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", d.holder.Process.Pid), d.data, name)
}

func (d *soakDisk) release() error {
	return errors.Join(d.input.Close(), d.holder.Wait())
}

const soakConfiguration = `
hostname = "soak.example.com"
data_dir = %q

log { level = "error" }
metrics { address = %q }
limits {
  max_connections_per_ip = 1000
  min_free_disk          = "16MiB"
}
queue {
  concurrency = %d
  retry       = "1s*"
}

listener "submission" "in" {
  address = %q
  trusted = ["127.0.0.0/8"]
}

relay "smarthost" "out" {
  address = %q
  tls     = "none"
}

signer "dkim" "example" { domains = ["example.com"] }

pipeline "soak" {
  listeners = [listener.in]
  signers   = [signer.example]
  relay     = relay.out
}
`

// soakInFlight is how many deliveries are under way at a time, and so how
// many may be repeated after a kill.
const soakInFlight = 20

// soakServer is the server of a soak and where its metrics are.
type soakServer struct {
	server
	metrics string
}

func newSoakServer(dir, bin, hop string, wrap []string) (*soakServer, error) {
	s := &soakServer{server: server{bin: bin, dir: dir, wrap: wrap}}
	var err, errMetrics error
	s.address, err = appliancetest.FreeAddress()
	s.metrics, errMetrics = appliancetest.FreeAddress()
	if err := errors.Join(err, errMetrics); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(soakConfiguration, filepath.Join(dir, "data"), s.metrics, soakInFlight, s.address, hop)
	return s, os.WriteFile(s.config(), []byte(text), 0o600)
}

// kill ends the process as kill -9 does.
func (s *soakServer) kill() error {
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed
	s.cmd = nil
	return err
}

// A soakSample is what a server holds at a moment.
type soakSample struct {
	at                      time.Time
	goroutines, descriptors float64
	rss                     float64 // MiB
}

var soakGoroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

func (s *soakServer) sample() (soakSample, error) {
	r := soakSample{at: time.Now()}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		return r, err
	}
	r.descriptors = float64(len(fds))
	if r.rss, err = s.status("VmRSS:"); err != nil {
		return r, err
	}
	body, err := s.scrape()
	if err != nil {
		return r, err
	}
	found := soakGoroutines.FindSubmatch(body)
	if found == nil {
		return r, errors.New("no go_goroutines in the metrics")
	}
	r.goroutines, err = strconv.ParseFloat(string(found[1]), 64)
	return r, err
}

func (s *soakServer) scrape() ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// queued is how many deliveries wait.
func (s *soakServer) queued() (int, error) {
	out, err := s.command("queue", "list", "--count").Output()
	if err != nil {
		return 0, fmt.Errorf("queue list --count: %w", err)
	}
	f := strings.Fields(string(bytes.TrimSpace(out)))
	if len(f) == 0 {
		return 0, errors.New("queue list --count says nothing")
	}
	return strconv.Atoi(f[0])
}
