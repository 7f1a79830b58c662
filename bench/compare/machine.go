package compare

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// machine is what the figures depend on.
type machine struct {
	cpu, kernel, disk, memory string
	ifma                      bool      // AVX-512 IFMA, which makes RSA of OpenSSL twice as fast
	sync                      []float64 // ms of an fdatasync, a median for each round
	goSignature               []float64 // CPU ms of a signature, for each round
	opensslSignature          []float64 // none where there is no openssl
	others                    []float64 // share of the processors that other processes use before each round, in percent
	versions                  []string
	dir                       string
	began                     time.Time
}

func newMachine(dir string, list []peers.Peer) (machine, error) {
	m := machine{dir: dir, began: time.Now(), cpu: runtime.GOARCH}
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	m.cpu = cmp.Or(procValue(string(cpu), "model name"), runtime.GOARCH)
	m.ifma = slices.Contains(strings.Fields(procValue(string(cpu), "flags")), "avx512ifma")
	memory, _ := os.ReadFile("/proc/meminfo")
	m.memory = procValue(string(memory), "MemTotal")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.kernel = strings.TrimSpace(string(kernel))
	mounts, _ := os.ReadFile("/proc/self/mounts")
	m.disk = mountOf(string(mounts), dir)
	for _, p := range list {
		v, err := p.Version()
		if err != nil {
			return m, fmt.Errorf("%s: %w", p.Name(), err)
		}
		m.versions = append(m.versions, p.Name()+": "+v)
	}
	return m, nil
}

// procValue is the value of the first line "name : value".
func procValue(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mountOf is the file system of a directory: "ext4 on /dev/vda".
func mountOf(mounts, dir string) string {
	longest, found := "", ""
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < len(longest) {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			longest, found = f[1], f[2]+" on "+f[0]
		}
	}
	return found
}

// measure measures the machine itself, before a round.
func (m *machine) measure(key *rsa.PrivateKey) error {
	others, err := busy(time.Second / 2)
	if err != nil {
		return err
	}
	signature, err := goSignature(key, time.Second/2)
	if err != nil {
		return err
	}
	wait, err := syncTime(m.dir, 100)
	if err != nil {
		return err
	}
	m.others = append(m.others, others)
	m.goSignature = append(m.goSignature, signature)
	m.opensslSignature = append(m.opensslSignature, opensslSignature())
	m.sync = append(m.sync, wait)
	return nil
}

// busy is how much of the processors is in use while this process does
// nothing, in percent.
func busy(during time.Duration) (float64, error) {
	before, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	time.Sleep(during)
	after, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	idle0, all0 := cpuTicks(string(before))
	idle1, all1 := cpuTicks(string(after))
	return 100 * (1 - (idle1-idle0)/max(1, all1-all0)), nil
}

// cpuTicks reads the first line of proc_stat(5): user, nice, system, idle,
// iowait, irq, softirq, steal. Waiting for the disk is idle.
func cpuTicks(text string) (idle, all float64) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	for i := 1; i < min(9, len(f)); i++ {
		n, _ := strconv.ParseFloat(f[i], 64) // the kernel writes digits
		all += n
		if i == 4 || i == 5 {
			idle += n
		}
	}
	return idle, all
}

// goSignature is the processor time of a signature, in ms, while all cores
// sign.
func goSignature(key *rsa.PrivateKey, during time.Duration) (float64, error) {
	digest := sha256.Sum256([]byte("berries"))
	var made atomic.Int64
	var failed atomic.Pointer[error]
	before, err := ownCPU()
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	end := time.Now().Add(during)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Now().Before(end) {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
					failed.Store(&err)
					return
				}
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	after, err := ownCPU()
	return (after - before).Seconds() * 1000 / float64(made.Load()), err
}

// ownCPU is the user and system time of this process.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// opensslSignature is the same with the OpenSSL of the system; none where it
// is not installed. Its own -multi does not count processor time.
func opensslSignature() float64 {
	rates := make([]float64, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range rates {
		wg.Go(func() {
			out, _ := exec.Command("openssl", "speed", "-seconds", "1", "-mr", "rsa2048").Output()
			rates[i] = opensslSpeed(string(out))
		})
	}
	wg.Wait()
	return 1000 / median(rates)
}

// opensslSpeed reads "+F2:2:2048:SIGN:VERIFY", per second of processor time
// each.
func opensslSpeed(out string) float64 {
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if f[0] != "+F2" || len(f) < 5 {
			continue
		}
		if perSecond, err := strconv.ParseFloat(f[3], 64); err == nil && perSecond > 0 {
			return perSecond
		}
	}
	return none
}

// syncTime is the median of n waits for the disk after 4 KiB each, in ms.
func syncTime(dir string, n int) (_ float64, err error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var list []float64
	for range n {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		list = append(list, time.Since(began).Seconds()*1000)
	}
	return median(list), nil
}

func (m *machine) markdown(rounds int) string {
	ifma := "without"
	if m.ifma {
		ifma = "with"
	}
	ms := column{digits: 2}
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s in %d rounds, each peer in turn, in %d minutes.\n\n", m.began.Format(time.DateOnly), rounds, int(time.Since(m.began).Minutes()+0.5))
	fmt.Fprintf(&b, "* %d cores of %s, %s AVX-512 IFMA; memory %s\n", runtime.NumCPU(), m.cpu, ifma, m.memory)
	fmt.Fprintf(&b, "* Linux %s; the queue on %s, fdatasync of 4 KiB: median %s ms\n", m.kernel, m.disk, ms.cell(m.sync))
	fmt.Fprintf(&b, "* one RSA-2048 signature with all cores busy: crypto/rsa of %s %s ms of CPU, OpenSSL %s ms\n", runtime.Version(), ms.cell(m.goSignature), ms.cell(m.opensslSignature))
	fmt.Fprintf(&b, "* used by others of the processors, before each round: %s %%\n", column{}.cell(m.others))
	for _, v := range m.versions {
		fmt.Fprintf(&b, "* %s\n", v)
	}
	return b.String()
}
