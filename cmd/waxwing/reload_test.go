package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// R12, P12: a hundred reloads while clients submit, half of them of files that
// do not load, by signal and by the admin API. No connection is refused, no
// session is sent away in the middle, every message arrives exactly once, and
// afterwards the server has no goroutine and no file more than before.
func TestReloadUnderLoad_R12(t *testing.T) {
	const reloads, clients, warm = 100, 8, 10
	if testing.Short() {
		t.Skip("takes five seconds; the plain go test ./... runs it")
	}
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	sink := newSink(t, book.got)
	p := newProcess(t, smarthost(sink.Addr()))
	r := newReloader(p)
	p.start()
	for n := range warm {
		r.reload(n)
	}
	before := r.lowest()

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { r.submit(stop, book, c) })
	}
	for n := range reloads {
		r.reload(n)
	}
	close(stop)
	wg.Wait()
	until(t, time.Minute, "everything answered 250 has arrived", func() bool { return book.missing() == 0 })
	r.reload(0)
	var after usage
	until(t, time.Minute, "there are as few goroutines and files as before", func() bool {
		after = r.lowest()
		return after.goroutines <= before.goroutines+5 && after.files <= before.files+5
	})
	t.Logf("%d sessions; before %+v, after %+v", r.sessions.Load(), before, after)
	p.terminate()
	report(t, book, 0)
}

// A reloader changes the file of a process and has it read.
type reloader struct {
	p              *process
	original       string
	metrics, extra string // addresses
	admin          *admin.Client
	sessions       atomic.Int64
}

func newReloader(p *process) *reloader {
	src, err := os.ReadFile(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	r := &reloader{
		p: p, metrics: freeAddress(p.t), extra: freeAddress(p.t),
		admin: admin.NewClient("unix:"+filepath.Join(p.dir, "data", "admin.sock"), appliance.Secret{}),
	}
	r.original = fmt.Sprintf("metrics { address = %q }\n", r.metrics) + string(src)
	// Connections to the next hop that are kept would count.
	r.original = r.edit(`tls = "none"`, "tls = \"none\"\n  idle = \"1s\"")
	r.write(r.original)
	return r
}

func (r *reloader) write(text string) {
	if err := os.WriteFile(r.p.config, []byte(text), 0o600); err != nil {
		r.p.t.Fatal(err)
	}
}

// edit is the original file with something else in the place of old.
func (r *reloader) edit(old, replacement string) string {
	if !strings.Contains(r.original, old) {
		r.p.t.Fatalf("the configuration has no %q", old)
	}
	return strings.Replace(r.original, old, replacement, 1)
}

// good files replace one instance each, and have a listener come and go.
func (r *reloader) good() []string {
	more := fmt.Sprintf("listener \"submission\" \"more\" { address = %q }\n", r.extra)
	return []string{
		r.original,
		r.edit(`listener "submission" "apps" {`, `listener "submission" "apps" { max_errors = 9 `),
		r.edit(`listener "submissions" "apps_tls" {`, `listener "submissions" "apps_tls" { max_errors = 9 `),
		more + r.edit("[listener.apps,", "[listener.more, listener.apps,"),
		r.edit(`auth "static" "apps" {`, `auth "static" "apps" { 
  user "eve" { password = "another one" }`),
		r.edit(`["@example.com"] }`, `["@example.com", "@example.org"] }`),
		r.edit(`idle = "1s"`, `idle = "2s"`),
		r.edit(`signer "dkim" "example" {`, `signer "dkim" "example" { expire = "7d" `),
	}
}

// bad files fail in different places: in the language, at a reference, at a
// rule, when an instance is made and when it is started, beside others that
// have started already.
func (r *reloader) bad() []string {
	nowhere := r.edit("[listener.apps,", "[listener.nowhere, listener.apps,")
	return []string{
		r.original + "pipeline {",
		r.edit("relay.out", "relay.nowhere"),
		r.edit("auth      = [auth.apps]", ""),
		r.edit(`{ domains = ["example.com"] }`, "{\n  domains = [\"example.com\"]\n  key \"s1\" { file = \"/nonexistent\" }\n}"),
		// All other instances that it replaces have started when this one cannot.
		strings.Replace(nowhere, `idle = "1s"`, `idle = "7s"`, 1) +
			`listener "submission" "nowhere" { address = "192.0.2.1:587" }`,
	}
}

// reload is the n-th: every other file is bad, and every other pair is read
// on a signal.
func (r *reloader) reload(n int) {
	t, good := r.p.t, n%2 == 0
	files := r.bad()
	if good {
		files = r.good()
	}
	file := files[n/2%len(files)]
	r.write(file)
	if n%4 < 2 {
		if _, err := r.admin.Reload(t.Context(), false); (err == nil) != good {
			t.Fatalf("reload %d: %v, for the file\n%s", n, err, file)
		}
		return
	}
	done := `"msg":"reloaded"`
	if !good {
		done = `"msg":"the configuration did not change"`
	}
	before := r.p.log.Count(done)
	if err := r.p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, fmt.Sprintf("reload %d ends with %s", n, done), func() bool {
		return r.p.log.Count(done) > before
	})
}

// submit sends five messages over each of many connections. None may fail.
func (r *reloader) submit(stop chan struct{}, book *ledger, client int) {
	to := r.p.login()
	if client%2 == 1 {
		to.Address, to.Implicit = r.p.tls, true
	}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if err := r.session(to, book, client, 5*n); err != nil {
			r.p.t.Errorf("client %d, session %d: %v", client, n, err)
		}
		r.sessions.Add(1)
	}
}

func (r *reloader) session(to appliancetest.SubmitConfig, book *ledger, client, first int) error {
	c, err := appliancetest.DialSubmitter(to)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range 5 {
		s := fmt.Sprintf("ledger %d %d", client, first+n)
		data := appliancetest.Message("app@example.com", "someone@example.net", s, 4096)
		if _, err := c.Submit("app@example.com", []string{"someone@example.net"}, data); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		book.ack(s)
	}
	return nil
}

// usage is what a process holds.
type usage struct{ goroutines, files int }

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

func (r *reloader) usage() (u usage) {
	t := r.p.t
	resp, err := http.Get("http://" + r.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := goroutines.FindSubmatch(body)
	if m == nil {
		t.Fatalf("no go_goroutines in\n%s", body)
	}
	u.goroutines, _ = strconv.Atoi(string(m[1]))
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	u.files = len(files)
	return u
}

// lowest is the least that the process holds within a second: what is on its
// way out, and the questions themselves, come and go.
func (r *reloader) lowest() usage {
	low := r.usage()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Second); time.Now().Before(end); <-tick.C {
		now := r.usage()
		low.goroutines, low.files = min(low.goroutines, now.goroutines), min(low.files, now.files)
	}
	return low
}
