package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// A nextHop is a mail server of Debian that takes mail for example.net and
// example.com, and for nobody else.
type nextHop struct {
	address string          // where it will listen
	start   func() net.Conn // runs it, and waits for its greeting
	stored  func() [][]byte // what it has got
	relay   string          // the block that leads there
}

// TestNextHops sends to servers that nobody here wrote: what arrives is what
// was sent and signed, whoever is refused is reported, and a server that is
// down for a while gets its mail when it is back.
func TestNextHops(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T) *nextHop
	}{
		{"Exim, CHUNKING", exim},
		{"OpenSMTPD, no PIPELINING", openSMTPD},
		{"Dovecot, LMTP", dovecot},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := c.setup(t)
			p := newProcess(t, h.relay)
			p.setting("queue { concurrency = 20 }", "queue {\n  retry = \"1s*\"\n  destination_concurrency = 1\n}")
			p.start()
			s, err := appliancetest.DialSubmitter(p.login())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			submitDotted(t, s, "early", 500, "bob@example.net")
			until(t, 10*time.Second, "the first attempt has failed", func() bool { return p.log.Count("451 4.4.1") > 0 })
			_ = h.start().Close()
			submitDotted(t, s, "large", 600<<10, "bob@example.net")
			for n := range 5 {
				submitDotted(t, s, fmt.Sprintf("small-%d", n), 5000, "bob@example.net")
			}
			submitDotted(t, s, "halves", 500, "bob@example.net", "who@example.invalid")
			until(t, 30*time.Second, "eight messages and a report have arrived", func() bool { return len(h.stored()) == 9 })
			p.terminate()
			checkStored(t, p, h.stored())
		})
	}
}

// TestSevenBit_H12: an 8-bit message leaves in 7 bits, says the same, and has a
// signature that holds.
func TestSevenBit_H12(t *testing.T) {
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr())+"\nrewrite \"seven_bit\" \"mime\" {}\n")
	p.setting("signers   = [signer.example]", "rewrites  = [rewrite.mime]\n  signers   = [signer.example]")
	p.start()
	s, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const in = "From: Jürgen <app@example.com>\r\nTo: someone@example.net\r\nSubject: Grüße\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSchöne Grüße an alle.\r\n"
	if _, err := s.Submit("app@example.com", []string{"someone@example.net"}, []byte(in)); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the message has arrived", func() bool { return len(box.all()) == 1 })
	m := box.all()[0].Data
	for _, want := range []string{
		"From: =?utf-8?q?J=C3=BCrgen?= <app@example.com>\r\n", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n",
		"Content-Transfer-Encoding: quoted-printable\r\n", "\r\n\r\nSch=C3=B6ne Gr=C3=BC=C3=9Fe an alle.\r\n",
	} {
		if !bytes.Contains(m, []byte(want)) {
			t.Errorf("it lacks %q", want)
		}
	}
	if bytes.ContainsFunc(m, func(r rune) bool { return r >= 0x80 }) {
		t.Errorf("it is 8-bit:\n%s", m)
	}
	dkimVerify(t, dkimRecords(t, p), m)
}

// dotted are lines that DATA has to double, and BDAT must not.
const dotted = ".\r\n..\r\n.hidden\r\n"

func submitDotted(t *testing.T, s *appliancetest.Submitter, subject string, size int, to ...string) {
	t.Helper()
	m := appliancetest.Message("app@example.com", to[0], subject, size)
	if _, err := s.Submit("app@example.com", to, append(m, dotted...)); err != nil {
		t.Fatal(err)
	}
}

// checkStored looks at what a next hop has got: each message once, whole, with
// a signature that others can verify; and the report.
func checkStored(t *testing.T, p *process, all [][]byte) {
	t.Helper()
	seen := make(map[string]int)
	p.start() // it tells its keys
	records := dkimRecords(t, p)
	p.terminate()
	for _, m := range all {
		m = bytes.ReplaceAll(bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		dkimVerify(t, records, m)
		if bytes.Contains(m, []byte("multipart/report")) {
			seen["report"]++
			if !bytes.Contains(m, []byte("who@example.invalid")) || !bytes.Contains(m, []byte("Action: failed")) {
				t.Errorf("the report is about something else:\n%s", m)
			}
			continue
		}
		_, subject, _ := strings.Cut(string(m), "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		seen[subject]++
		if !bytes.HasSuffix(bytes.TrimRight(m, "\r\n"), []byte(strings.TrimRight(dotted, "\r\n"))) {
			t.Errorf("%s does not end as it was sent: %q", subject, m[max(0, len(m)-50):])
		}
	}
	for _, name := range []string{"early", "large", "small-0", "small-1", "small-2", "small-3", "small-4", "halves", "report"} {
		if seen[name] != 1 {
			t.Errorf("%s arrived %d times", name, seen[name])
		}
	}
}

// peers is where .ci/run unpacks the servers that Debian does not install
// beside Postfix.
const peers = "/usr/local/lib/waxwing-peers"

// apart finds a program of peers, and makes a command of it that runs in a
// world where its users exist and its directories are empty.
func apart(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(peers, "usr/sbin", program)
	_, err := os.Stat(path)
	switch ci := os.Getenv("CI") != ""; {
	case err != nil && ci:
		t.Fatalf("%v: .ci/run should have seen to it", err)
	case os.Geteuid() != 0 && ci:
		t.Fatalf("%s needs root to start", program)
	case err != nil || os.Geteuid() != 0:
		t.Skipf("%s is not installed, or this is not root", program)
	}
	dir := t.TempDir()
	for _, name := range []string{"passwd", "group"} {
		b, err := os.ReadFile("/etc/" + name)
		if err != nil {
			t.Fatal(err)
		}
		more := "Debian-exim:x:8:8::/:/bin/false\nopensmtpd:x:801:801::/:/bin/false\nopensmtpq:x:802:802::/:/bin/false\n"
		if name == "group" {
			more = "Debian-exim:x:8:\nopensmtpd:x:801:\nopensmtpq:x:802:\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(b, more...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const script = `set -e
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/group" /etc/group
for d in /run /var/lib /var/log /var/spool; do mount -t tmpfs none $d; done
mkdir -p /var/lib/opensmtpd/empty /var/log/exim4
mkdir -m 711 /var/spool/smtpd
exec "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, dir, path}, args...)...)
}

// run starts a server and waits for the first octet of its greeting. It is
// stopped when the test ends.
func run(t *testing.T, cmd *exec.Cmd, network, address string) net.Conn {
	t.Helper()
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		time.AfterFunc(3*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, out.String())
		}
	})
	var c net.Conn
	until(t, 20*time.Second, "the next hop greets", func() bool {
		var err error
		if c, err = net.Dial(network, address); err != nil {
			return false
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Read(make([]byte, 1))
		return err == nil
	})
	return c
}

// shortDir is a directory that other users can enter, with a path that is
// short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writable makes a directory below dir that the user mail writes to.
func writable(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, exec.Command("chown", "mail:mail", path))
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// maildir reads the new messages of a maildir.
func maildir(t *testing.T, dir string) func() [][]byte {
	return func() (all [][]byte) {
		files, err := filepath.Glob(filepath.Join(dir, "new", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		return all
	}
}

const eximConf = `
exim_path = %[2]s/usr/sbin/exim4
exim_user = mail
exim_group = mail
primary_hostname = exim.example.net
spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%slog
pid_file_path = ""
never_users =
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = rcpt
chunking_advertise_hosts = *
tls_advertise_hosts =
begin acl
rcpt:
  accept domains = example.net : example.com
  deny message = who is that?
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  maildir_format
  directory = %[1]s/box
  create_directory
  user = mail
  group = mail
`

// exim offers CHUNKING, and its log says that it was used.
func exim(t *testing.T) *nextHop {
	dir := shortDir(t)
	for _, d := range []string{"spool", "log", "box"} {
		writable(t, dir, d)
	}
	conf := filepath.Join(dir, "exim.conf")
	write(t, conf, fmt.Sprintf(eximConf, dir, peers))
	h := &nextHop{address: freeAddress(t), stored: maildir(t, filepath.Join(dir, "box"))}
	h.relay = smarthost(h.address)
	cmd := apart(t, "exim4", "-C", conf, "-bdf", "-oX", strings.Replace(h.address, ":", ".", 1))
	h.start = func() net.Conn { return run(t, cmd, "tcp", h.address) }
	t.Cleanup(func() {
		log, err := os.ReadFile(filepath.Join(dir, "log", "mainlog"))
		if n := bytes.Count(log, []byte(" K S=")); err != nil || n != 9 {
			t.Errorf("%d of nine messages came by BDAT, %v:\n%s", n, err, log)
		}
	})
	return h
}

const smtpdConf = `
listen on %s port %s hostname opensmtpd.example.net
action "on" relay host smtp://%s
match from any for domain { "example.net", "example.com" } action "on"
`

// openSMTPD hands what it takes to a sink.
func openSMTPD(t *testing.T) *nextHop {
	dir := shortDir(t)
	var box inbox
	sink := newSink(t, box.got)
	h := &nextHop{address: freeAddress(t)}
	h.relay = smarthost(h.address)
	host, port, err := net.SplitHostPort(h.address)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "smtpd.conf")
	write(t, conf, fmt.Sprintf(smtpdConf, host, port, sink.Addr()))
	cmd := apart(t, "smtpd", "-d", "-f", conf)
	h.start = func() net.Conn { return run(t, cmd, "tcp", h.address) }
	h.stored = func() (all [][]byte) {
		for _, m := range box.all() {
			all = append(all, m.Data)
		}
		return all
	}
	return h
}

const dovecotConf = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = lmtp
ssl = no
auth_username_format = %%n
mail_location = maildir:%[1]s/box
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = passwd-file
  args = %[1]s/users
}
service lmtp {
  unix_listener %[1]s/lmtp {
    mode = 0666
  }
}
`

// dovecot speaks LMTP on a socket.
func dovecot(t *testing.T) *nextHop {
	program := need(t, "dovecot")
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("Dovecot needs root to start")
		}
		t.Skip("Dovecot needs root to start")
	}
	dir := shortDir(t)
	box := writable(t, dir, "box")
	write(t, filepath.Join(dir, "users"), "bob:{PLAIN}x:8:8:::\napp:{PLAIN}x:8:8:::\n")
	conf, socket := filepath.Join(dir, "dovecot.conf"), filepath.Join(dir, "lmtp")
	write(t, conf, fmt.Sprintf(dovecotConf, dir))
	return &nextHop{
		relay:  fmt.Sprintf("relay \"lmtp\" \"out\" {\n  address = \"unix:%s\"\n}", socket),
		start:  func() net.Conn { return run(t, exec.Command(program, "-F", "-c", conf), "unix", socket) },
		stored: maildir(t, box),
	}
}
