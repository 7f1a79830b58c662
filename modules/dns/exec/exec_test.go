//go:build unix

package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/providertest"
)

func TestMain(m *testing.M) {
	if db := os.Getenv("TEST_DNS_HOOK"); db != "" {
		hook(db, os.Args)
		return
	}
	goleak.VerifyTestMain(m)
}

// hook is the program of the tests: this one, run again. It keeps the records
// in a file, and breaks if two of it run at the same time.
func hook(db string, args []string) {
	fail := func(text string) { os.Stderr.WriteString(text + "\n"); os.Exit(3) }
	lock, err := os.OpenFile(db+".lock", os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		fail("somebody else runs: " + err.Error())
	}
	lock.Close()
	defer os.Remove(db + ".lock")
	if len(args) != 4 || args[1] != os.Getenv("WAXWING_DNS_ACTION") || args[2] != os.Getenv("WAXWING_DNS_NAME") || args[3] != os.Getenv("WAXWING_DNS_VALUE") {
		fail("arguments and environment differ")
	}
	content, _ := os.ReadFile(db)
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	ttl, value := os.Getenv("WAXWING_DNS_TTL"), args[3]
	switch args[1] {
	case "present":
		lines = append(lines, strings.Join([]string{args[2], os.Getenv("WAXWING_DNS_TYPE"), ttl, value}, "\t"))
	case "cleanup":
		lines = slices.DeleteFunc(lines, func(line string) bool {
			f := strings.SplitN(line, "\t", 4)
			return len(f) == 4 && f[0] == args[2] && (value == "" || f[3] == value) && (ttl == "0" || f[2] == ttl)
		})
	}
	if err := os.WriteFile(db, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		fail(err.Error())
	}
}

func provision(t *testing.T, p *Exec) *observer.ObservedLogs {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	if err := errors.Join(p.Validate(), p.Provision(&appliance.Context{Log: zap.New(core)})); err != nil {
		t.Fatal(err)
	}
	return logs
}

// shell is a block whose program is a script.
func shell(t *testing.T, script string) (*Exec, *observer.ObservedLogs) {
	t.Helper()
	p := New()
	p.Command = []string{"sh", "-c", script, "hook"}
	return p, provision(t, p)
}

func txt(text string) []libdns.Record {
	return []libdns.Record{libdns.TXT{Name: "_acme-challenge.mail", Text: text}}
}

func TestSuite(t *testing.T) {
	db := filepath.Join(t.TempDir(), "records")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_DNS_HOOK", db)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector waits a second at each exit
	p := New()
	p.Command, p.Environment = []string{self}, []string{"TEST_DNS_HOOK", "GORACE"}
	provision(t, p)
	providertest.Run(t, providertest.Zone{
		Name: "example.test.", Provider: p,
		TXT: func(t *testing.T, fqdn string) (values []string) {
			content, err := os.ReadFile(db)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(string(content), "\n") {
				if value, ok := strings.CutPrefix(line, fqdn+"\tTXT\t"); ok {
					_, value, _ = strings.Cut(value, "\t")
					values = append(values, value)
				}
			}
			return values
		},
	})
}

// TestContract: arguments and environment are those of the package comment,
// and nothing else of the server's environment is there.
func TestContract(t *testing.T) {
	t.Setenv("OPERATOR_TOKEN", "t0ken-of-the-operator")
	t.Setenv("UNRELATED_SECRET", "hunter2")
	out := filepath.Join(t.TempDir(), "out")
	p := New()
	p.Command = []string{"sh", "-c", `{ pwd; printf '%s\n' "$0" "$@"; env | grep -v -e ^PATH= -e ^HOME= -e ^LANG= -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort; } >` + out, "hook", "--profile"}
	p.Environment = []string{"OPERATOR_TOKEN"}
	provision(t, p)
	const evil = "-x $(id) `id` ; \"q\" *"
	if _, err := p.AppendRecords(t.Context(), "Example.com", txt(evil)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	want := strings.Join([]string{
		"/", "hook", "--profile", "present", "_acme-challenge.mail.example.com.", evil,
		"OPERATOR_TOKEN=t0ken-of-the-operator",
		"WAXWING_DNS_ACTION=present", "WAXWING_DNS_NAME=_acme-challenge.mail.example.com.", "WAXWING_DNS_TTL=60",
		"WAXWING_DNS_TYPE=TXT", "WAXWING_DNS_VALUE=" + evil, "WAXWING_DNS_ZONE=example.com.", "",
	}, "\n")
	if err != nil || string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestFails: the exit status and the first line of standard error are the
// error, all of it is in the log, and the values of the variables are in
// neither (P19).
func TestFails(t *testing.T) {
	t.Setenv("OPERATOR_TOKEN", "t0ken-of-the-operator")
	p := New()
	p.Command = []string{"sh", "-c", `echo "no zone for $OPERATOR_TOKEN" >&2; echo "ask the operator" >&2; echo out; exit 4`, "hook"}
	p.Environment = []string{"OPERATOR_TOKEN"}
	logs := provision(t, p)
	got, err := p.AppendRecords(t.Context(), "example.com.", txt("x"))
	if err == nil || !strings.HasSuffix(err.Error(), "sh present _acme-challenge.mail.example.com.: exit status 4: no zone for (secret)") || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
	if all := logs.FilterField(zap.String("stderr", "no zone for (secret)\nask the operator")); all.Len() != 1 {
		t.Errorf("%v", logs.All())
	}
}

// TestHalf: what was done before a failure is said.
func TestHalf(t *testing.T) {
	p, _ := shell(t, `[ "$3" != second ]`)
	got, err := p.AppendRecords(t.Context(), "example.com.", append(txt("first"), txt("second")...))
	if err == nil || len(got) != 1 || got[0].RR().Data != "first" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestLoud: a program that does not stop talking is kept short.
func TestLoud(t *testing.T) {
	p, logs := shell(t, `head -c 10000000 /dev/zero | tr '\0' x >&2; exit 1`)
	_, err := p.AppendRecords(t.Context(), "example.com.", txt("x"))
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("%v", err)
	}
	for _, e := range logs.All() {
		for _, f := range e.Context {
			if len(f.String) > maxStderr {
				t.Errorf("%d octets in the log", len(f.String))
			}
		}
	}
}

// TestTimeout: the program and what it has started are gone after the
// time-out.
func TestTimeout(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	p, _ := shell(t, "sleep 60 & echo $! >"+pidFile+"; wait")
	p.Timeout = 300 * time.Millisecond
	if _, err := p.AppendRecords(t.Context(), "example.com.", txt("x")); err == nil || !strings.Contains(err.Error(), "killed: no answer within 300ms") {
		t.Error(err)
	}
	gone(t, pidFile)
}

// TestLeftBehind: a process that the program leaves behind, with standard
// error open, is no reason to wait for it.
func TestLeftBehind(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	p, _ := shell(t, "sleep 60 & echo $! >"+pidFile)
	begin := time.Now()
	if _, err := p.AppendRecords(t.Context(), "example.com.", txt("x")); err == nil || !strings.Contains(err.Error(), "left a process behind") {
		t.Error(err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	gone(t, pidFile)
}

// TestQuietlyLeftBehind: a process that holds nothing open is killed all the
// same.
func TestQuietlyLeftBehind(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	p, _ := shell(t, "sleep 60 >/dev/null 2>&1 & echo $! >"+pidFile)
	if _, err := p.AppendRecords(t.Context(), "example.com.", txt("x")); err != nil {
		t.Error(err)
	}
	gone(t, pidFile)
}

// TestTurn: who waits for its turn can give up.
func TestTurn(t *testing.T) {
	p, _ := shell(t, "exit 0")
	p.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.AppendRecords(ctx, "example.com.", txt("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-p.turn
	if _, err := p.AppendRecords(t.Context(), "example.com.", txt("x")); err != nil {
		t.Error(err)
	}
}

// gone waits until the process is no more. Whoever reaps it may take a moment.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d still runs", pid)
}

func TestValidate(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		attr   string
		change func(*Exec)
	}{
		{"command", func(p *Exec) { p.Command = nil }},
		{"command", func(p *Exec) { p.Command = []string{""} }},
		{"command", func(p *Exec) { p.Command = []string{"sh", "a\x00b"} }},
		{"command", func(p *Exec) { p.Command = []string{"./dns-hook"} }},
		{"command", func(p *Exec) { p.Command = []string{"no-such-program-anywhere"} }},
		{"command", func(p *Exec) { p.Command = []string{"/no/such/program"} }},
		{"command", func(p *Exec) { p.Command = []string{plain} }},
		{"environment", func(p *Exec) { p.Environment = []string{"A=b"} }},
		{"environment", func(p *Exec) { p.Environment = []string{"WAXWING_DNS_NAME"} }},
		{"environment", func(p *Exec) { p.Environment = []string{"NO_SUCH_VARIABLE_ANYWHERE"} }},
		{"timeout", func(p *Exec) { p.Timeout = -1 }},
	} {
		p := New()
		p.Command = []string{"sh"}
		c.change(p)
		err := p.Validate()
		if err == nil {
			err = p.Provision(&appliance.Context{Log: zap.NewNop()})
		}
		if attr, ok := errors.AsType[*appliance.AttrError](err); !ok || attr.Attr != c.attr {
			t.Errorf("%s: %v", c.attr, err)
		}
	}
}

// TestP19Cut: a secret of which the program's last kept words are the first half
// does not stay there.
func TestP19Cut(t *testing.T) {
	t.Setenv("CUT_TOKEN", "s3cret-token-of-the-operator")
	p := New()
	p.Environment = []string{"CUT_TOKEN"}
	p.Command = []string{"sh", "-c", `printf '\n%016370d%s' 0 "$CUT_TOKEN" >&2; exit 1`, "hook"}
	logs := provision(t, p)
	_, err := p.AppendRecords(t.Context(), "example.com.", []libdns.Record{libdns.TXT{Name: "_acme-challenge", Text: "x"}})
	if err == nil {
		t.Fatal("no error")
	}
	all := logs.FilterFieldKey("stderr").All()
	if len(all) != 1 || len(all[0].ContextMap()["stderr"].(string)) < 16_000 || strings.Contains(all[0].ContextMap()["stderr"].(string), "s3") {
		t.Errorf("%d lines: %v", len(all), all)
	}
}
