package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A unit is examples/waxwing.service.
type unit struct {
	t    *testing.T
	text string
}

const unitFile = "../../examples/waxwing.service"

func readUnit(t *testing.T) unit {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	return unit{t, string(text)}
}

// settings are the values of a setting, in order, words apart.
func (u unit) settings(name string) (all []string) {
	u.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(u.text, -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		u.t.Fatalf("the unit has no %s", name)
	}
	return all
}

// TestUnitVerify: systemd understands every line of the unit, and thinks it
// well shut in.
func TestUnitVerify(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	u := readUnit(t)
	text := strings.ReplaceAll(u.text, "/usr/bin/waxwing", binary) // which verify looks for
	file := filepath.Join(t.TempDir(), "waxwing.service")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", "--man=no", file}, {"security", "--offline=true", "--threshold=18", "--no-pager", file}} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// calls are the numbers of the system calls that the unit allows.
func (u unit) calls() []string {
	u.t.Helper()
	allowed := make(map[string]bool)
	for _, line := range u.settings("SystemCallFilter") {
		line, forbid := strings.CutPrefix(line, "~")
		for word := range strings.FieldsSeq(line) {
			for _, name := range u.expand(word) {
				allowed[name] = !forbid
			}
		}
	}
	var numbers []string
	for _, m := range u.header() {
		if allowed[m[1]] {
			numbers = append(numbers, m[2])
		}
	}
	if len(numbers) < 150 {
		u.t.Fatalf("the unit allows %d system calls", len(numbers))
	}
	return numbers
}

// expand is what systemd has in a group of system calls.
func (u unit) expand(word string) (names []string) {
	u.t.Helper()
	if !strings.HasPrefix(word, "@") {
		return []string{word}
	}
	out, err := exec.Command(need(u.t, "systemd-analyze"), "syscall-filter", "--no-pager", word).Output()
	if err != nil {
		u.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch {
		case line == word || line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "@"):
			names = append(names, u.expand(line)...)
		default:
			names = append(names, line)
		}
	}
	return names
}

// header are the names and numbers of this machine's system calls.
func (u unit) header() [][]string {
	u.t.Helper()
	cc := exec.Command(need(u.t, "gcc"), "-E", "-dM", "-")
	cc.Stdin = strings.NewReader("#include <asm/unistd.h>\n")
	out, err := cc.Output()
	if err != nil {
		u.t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`).FindAllStringSubmatch(string(out), -1)
}

// imageUser is the user of the container image.
const imageUser = 10001

// shutIn makes the process run as the unit and the image want it: as a user of
// its own, with nothing to write but its data directory, with one capability
// that nobody can add to, and under the unit's filter of system calls.
func (u unit) shutIn(p *process) {
	u.t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			u.t.Fatal("this test has to mount and to change the user: run it as root")
		}
		u.t.Skip("only root can shut a program in like this")
	}
	confine := filepath.Join(filepath.Dir(p.dir), "confine")
	if out, err := exec.Command("go", "build", "-o", confine, "./testdata/confine").CombinedOutput(); err != nil {
		u.t.Fatalf("%v\n%s", err, out)
	}
	data := filepath.Join(p.dir, "data")
	for _, err := range []error{
		os.Mkdir(data, 0o700), os.Chown(data, imageUser, imageUser), os.Chown(p.config, 0, imageUser), os.Chmod(p.config, 0o640),
		os.Chmod(filepath.Dir(p.dir), 0o755), os.Chmod(p.dir, 0o755), os.Chmod(filepath.Dir(binary), 0o755),
	} {
		if err != nil {
			u.t.Fatal(err)
		}
	}
	const onlyData = `mount --bind "$0" "$0" && mount -o remount,bind,ro / && ! touch /etc/written 2>/dev/null && exec "$@"`
	p.wrap = []string{"unshare", "--mount", "sh", "-c", onlyData, data}
	if out, err := exec.Command(p.wrap[0], append(p.wrap[1:], "true")...).CombinedOutput(); err != nil {
		u.t.Fatalf("no read-only root here: %v\n%s", err, out)
	}
	caps := "-all,+net_bind_service"
	p.wrap = append(p.wrap, need(u.t, "setpriv"), fmt.Sprintf("--reuid=%d", imageUser), fmt.Sprintf("--regid=%d", imageUser), "--clear-groups",
		"--inh-caps="+caps, "--ambient-caps="+caps, "--bounding-set="+caps, "--no-new-privs")
	p.wrap = append(p.wrap, confine, "-calls", strings.Join(u.calls(), ","), "-socket", u.socket(), "-families", u.families())
}

// socket is the number of socket(2).
func (u unit) socket() string {
	all := u.header()
	return all[slices.IndexFunc(all, func(m []string) bool { return m[1] == "socket" })][2]
}

// families are the numbers of the address families that the unit allows.
func (u unit) families() string {
	known := map[string]int{"AF_UNIX": syscall.AF_UNIX, "AF_INET": syscall.AF_INET, "AF_INET6": syscall.AF_INET6, "AF_NETLINK": syscall.AF_NETLINK}
	var numbers []string
	for word := range strings.FieldsSeq(u.settings("RestrictAddressFamilies")[0]) {
		n, ok := known[word]
		if !ok {
			u.t.Errorf("the unit allows %s, which a mail server has no use for", word)
		}
		numbers = append(numbers, fmt.Sprint(n))
	}
	return strings.Join(numbers, ",")
}

// TestUnitShutIn: with what the unit and the image leave it, and not a system
// call more, the server makes its keys, listens on a port below 1024, takes
// mail, signs and delivers it, loads its file again, answers commands and ends
// in good order.
func TestUnitShutIn(t *testing.T) {
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	low := fmt.Sprintf("127.%d.%d.%d:587", os.Getpid()>>16&0xff, os.Getpid()>>8&0xff, os.Getpid()&0xff|1)
	p.setting(p.submit, low)
	p.submit = low
	readUnit(t).shutIn(p)
	p.start()
	p.checkStatus(map[string]string{
		"Uid": "10001", "Gid": "10001", "NoNewPrivs": "1", "Seccomp": "2",
		"CapPrm": "0000000000000400", "CapEff": "0000000000000400", "CapBnd": "0000000000000400",
	})
	p.submitTo(p.submitter(), "someone@example.net", "shut in")
	until(t, 20*time.Second, "the message arrives", func() bool { return len(box.all()) == 1 })
	if m := box.all()[0]; !strings.Contains(string(m.Data), "DKIM-Signature:") {
		t.Errorf("it is not signed:\n%s", m.Data)
	}
	p.setting("queue { concurrency = 20 }", "queue { concurrency = 10 }")
	for _, args := range []string{"health", "reload", "status", "queue list", "tls list", "dkim show"} {
		p.run(strings.Fields(args)...)
	}
	p.submitTo(p.submitter(), "someone@example.net", "after a reload")
	until(t, 20*time.Second, "the second arrives", func() bool { return len(box.all()) == 2 })
	p.terminate()
}

// checkStatus looks into /proc/PID/status.
func (p *process) checkStatus(want map[string]string) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for name, value := range want {
		if !strings.Contains(string(status), "\n"+name+":\t"+value) {
			p.t.Errorf("not %s %s:\n%s", name, value, status)
		}
	}
}
