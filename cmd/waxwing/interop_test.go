package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// need finds a program that somebody else wrote. In CI it must be there.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/lib/postfix/sbin"} {
			if fi, err := os.Stat(filepath.Join(dir, name)); err == nil && fi.Mode()&0o111 != 0 {
				return filepath.Join(dir, name)
			}
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: .ci/run should have seen to it", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// dkimRecords asks the server for its keys, in the form dkimVerify takes.
func dkimRecords(t *testing.T, p *process) string {
	t.Helper()
	return p.run("dkim", "show", "--json")
}

// dkimVerify verifies a message with dkimpy (P15). The key comes from the
// records that "waxwing dkim show" prints, as it would from the DNS.
func dkimVerify(t *testing.T, records string, message []byte) {
	t.Helper()
	const script = `
import sys, json, dkim
records = {r["name"].rstrip(".") + ".": r["value"].encode() for r in json.loads(sys.argv[1])}
message = sys.stdin.buffer.read()
d = dkim.DKIM(message)
ok = d.verify(dnsfunc=lambda name, timeout=5: records.get(name.decode() if isinstance(name, bytes) else name))
sys.exit("verified" if not ok else 0)
`
	python(t)
	cmd := exec.Command("/usr/bin/python3", "-c", script, records)
	cmd.Stdin = bytes.NewReader(message)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("dkimpy does not verify the message: %v\n%s\n%s", err, out, message)
	}
}

// python looks for Debian's Python, which has Debian's dkimpy.
func python(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/usr/lib/python3/dist-packages/dkim"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3-dkim is not installed: .ci/run should have seen to it")
		}
		t.Skip("python3-dkim is not installed")
	}
}

func TestSwaks(t *testing.T) {
	swaks := need(t, "swaks")
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	for i, c := range []struct{ name, server, flag, auth, user string }{
		{"STARTTLS PLAIN", p.submit, "--tls", "PLAIN", "app"},
		{"STARTTLS LOGIN", p.submit, "--tls", "LOGIN", "app"},
		{"implicit TLS", p.tls, "--tls-on-connect", "PLAIN", "app"},
		{"user@hostname", p.submit, "--tls", "PLAIN", "app@mail.example.com"},
	} {
		output(t, exec.Command(swaks, "--server", c.server, c.flag, "--auth", c.auth,
			"--auth-user", c.user, "--auth-password", password, "--from", "app@example.com",
			"--to", "someone@example.net", "--header", "Subject: "+c.name, "--body", "first\n.\n..second\n"))
		until(t, 10*time.Second, c.name+" has arrived", func() bool { return len(box.all()) > i })
		m := box.all()[i]
		if m.From != "app@example.com" || len(m.To) != 1 || m.To[0] != "someone@example.net" {
			t.Errorf("%s: envelope %q %q", c.name, m.From, m.To)
		}
		if !bytes.Contains(m.Data, []byte("Subject: "+c.name+"\r\n")) || !bytes.Contains(m.Data, []byte("\r\nfirst\r\n.\r\n..second\r\n")) {
			t.Errorf("%s: the message has changed:\n%s", c.name, m.Data)
		}
		dkimVerify(t, dkimRecords(t, p), m.Data)
	}
}

func TestSwaksRefused(t *testing.T) {
	swaks := need(t, "swaks")
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"wrong password", "535 5.7.8", []string{"--tls", "--auth", "PLAIN", "--auth-user", "app", "--auth-password", "wrong", "--from", "app@example.com"}},
		{"no AUTH", "530 5.7.0", []string{"--tls", "--from", "app@example.com"}},
		{"AUTH without TLS", "Host did not advertise authentication", []string{"--auth", "PLAIN", "--auth-user", "app", "--auth-password", password, "--from", "app@example.com"}},
		{"foreign sender", "550 5.7.1", []string{"--tls", "--auth", "PLAIN", "--auth-user", "app", "--auth-password", password, "--from", "ceo@example.org"}},
		{"foreign From field", "550 5.7.1", []string{"--tls", "--auth", "PLAIN", "--auth-user", "app", "--auth-password", password, "--from", "app@example.com", "--header", "From: ceo@example.org"}},
	} {
		args := append([]string{"--server", p.submit, "--to", "someone@example.net"}, c.args...)
		out, err := exec.Command(swaks, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, %q wanted in\n%s", c.name, err, c.want, out)
		}
	}
	if n := len(box.all()); n > 0 {
		t.Errorf("%d messages were relayed", n)
	}
}

func TestPythonSMTPLib(t *testing.T) {
	python(t)
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	const script = `
import smtplib, ssl, sys
from email.message import EmailMessage
host, port, tls_port, password = sys.argv[1:5]
context = ssl._create_unverified_context()
def message(subject, text):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "Büro <app@example.com>", "someone@example.net", subject
    m["Bcc"] = "hidden@example.net"
    m.set_content(text)
    return m
with smtplib.SMTP(host, int(port)) as s:
    s.starttls(context=context)
    s.login("app", password)
    s.send_message(message("Grüße", "Schöne Grüße\n.\n"), to_addrs=["someone@example.net", "hidden@example.net"])
    big = message("five MiB", "x")
    big.add_attachment(b"\x00\xff" * (5 << 19), maintype="application", subtype="octet-stream", filename="big.bin")
    s.send_message(big, to_addrs=["someone@example.net"])
with smtplib.SMTP_SSL(host, int(tls_port), context=context) as s:
    s.login("app", password)
    s.send_message(message("implicit", "over TLS"), to_addrs=["someone@example.net"])
`
	host, port, _ := net.SplitHostPort(p.submit)
	_, tlsPort, _ := net.SplitHostPort(p.tls)
	output(t, exec.Command("/usr/bin/python3", "-c", script, host, port, tlsPort, password))
	until(t, 20*time.Second, "three messages have arrived", func() bool { return len(box.all()) == 3 })
	records := dkimRecords(t, p)
	for _, m := range box.all() {
		if bytes.Contains(m.Data, []byte("Bcc:")) {
			t.Error("the Bcc field was sent")
		}
		dkimVerify(t, records, m.Data)
	}
}

// 8-bit content and SMTPUTF8 addresses go through Postfix's own sink.
func TestSMTPSink(t *testing.T) {
	sink := need(t, "smtp-sink")
	address := freeAddress(t)
	dump := t.TempDir()
	cmd := exec.Command(sink, "-d", filepath.Join(dump, "mail."), "-u", "root", address, "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p := newProcess(t, smarthost(address))
	p.start()
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		data := appliancetest.Message("app@example.com", "someone@example.net", fmt.Sprintf("sink %d", i), 20_000)
		if _, err := c.Submit("app@example.com", []string{"someone@example.net", "other@example.net"}, data); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	until(t, 20*time.Second, "smtp-sink has five messages", func() bool {
		files, _ = filepath.Glob(filepath.Join(dump, "mail.*"))
		return len(files) == 5
	})
	p.terminate()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("X-Rcpt-Args: <other@example.net>")) || !bytes.Contains(b, []byte("DKIM-Signature:")) {
			t.Errorf("%s:\n%.2000s", f, b)
		}
	}
}

// A real Postfix as the next hop takes our mail over opportunistic TLS, and
// what it stores still verifies.
func TestPostfixNextHop(t *testing.T) {
	postfix := startPostfix(t)
	p := newProcess(t, fmt.Sprintf("relay \"smarthost\" \"out\" {\n  address = %q\n  tls = \"opportunistic\"\n}", postfix.address))
	p.start()
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Submit("app@example.com", []string{"someone@example.net"},
		appliancetest.Message("app@example.com", "someone@example.net", "to Postfix", 4096))
	if err != nil {
		t.Fatal(err)
	}
	// A recipient that Postfix refuses comes back to the sender as a report,
	// which Postfix, being the next hop of everything here, stores too.
	_, err = c.Submit("app@example.com", []string{"someone@refused.example"},
		appliancetest.Message("app@example.com", "someone@refused.example", "to nobody", 1000))
	if err != nil {
		t.Fatal(err)
	}
	var mail [][]byte
	until(t, 30*time.Second, "Postfix has stored two messages", func() bool {
		mail = postfix.stored(t)
		return len(mail) == 2
	})
	records := dkimRecords(t, p)
	reports := 0
	for _, m := range mail {
		// Postfix stores with LF and puts its own fields on top; DKIM has the wire form.
		m = bytes.ReplaceAll(m, []byte("\n"), []byte("\r\n"))
		dkimVerify(t, records, m)
		if bytes.Contains(m, []byte("multipart/report")) {
			reports++
			for _, want := range []string{"Return-Path: <>", "Final-Recipient: rfc822; someone@refused.example", "Action: failed", "Diagnostic-Code: smtp; 554 5.7.1"} {
				if !bytes.Contains(m, []byte(want)) {
					t.Errorf("the report lacks %q:\n%s", want, m)
				}
			}
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, one wanted", reports)
	}
	if !strings.Contains(p.log.String(), "TLS 1.3") {
		t.Error("no TLS to Postfix")
	}
}

type postfixServer struct{ address, dir string }

const mainCF = `
compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
myhostname = postfix.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[1]s/cert.pem
smtpd_tls_key_file = %[1]s/key.pem
smtpd_recipient_restrictions = check_recipient_access inline:{refused.example=reject}, permit_mynetworks, reject
virtual_mailbox_domains = example.net, example.com
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:%[2]s
virtual_gid_maps = static:%[2]s
virtual_minimum_uid = 1
maillog_file = /dev/null
maillog_file_prefixes = /dev
`

const masterCF = `
%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
tlsmgr unix - - n 1000? 1 tlsmgr
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
proxymap unix - - n - - proxymap
`

// startPostfix runs an instance of its own, with its own queue, that stores
// mail for example.net and example.com in a maildir.
func startPostfix(t *testing.T) *postfixServer {
	program := need(t, "postfix")
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("Postfix needs root to start")
		}
		t.Skip("Postfix needs root to start")
	}
	dir, err := os.MkdirTemp("", "postfix") // short: unix sockets live below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &postfixServer{address: freeAddress(t), dir: dir}
	uid := strings.TrimSpace(output(t, exec.Command("id", "-u", "postfix")))
	for _, d := range []string{"etc", "spool", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(dir, 0o755)
	output(t, exec.Command("chown", "postfix", filepath.Join(dir, "data"), filepath.Join(dir, "mail")))
	output(t, exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
		"-subj", "/CN=postfix.example.net", "-keyout", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "cert.pem")))
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.cf", fmt.Sprintf(mainCF, dir, uid))
	write("master.cf", fmt.Sprintf(masterCF, s.address))
	control := func(verb string) *exec.Cmd { return exec.Command(program, "-c", filepath.Join(dir, "etc"), verb) }
	output(t, control("start"))
	t.Cleanup(func() { control("abort").Run() })
	until(t, 20*time.Second, "Postfix listens", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

func (s *postfixServer) stored(t *testing.T) [][]byte {
	files, err := filepath.Glob(filepath.Join(s.dir, "mail", "box", "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}
