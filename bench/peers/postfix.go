package peers

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// postfixMain is Debian's main.cf, a relay and nothing else, but for these:
// the next hop is named; there is a listener of its own; OpenDKIM signs, and
// what it cannot sign is not taken; 25 MiB are.
const postfixMain = `
compatibility_level = 3.6
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no

queue_directory = {{.Dir}}/spool
data_directory = {{.Dir}}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop

inet_interfaces = {{.Host}}
inet_protocols = ipv4
myhostname = {{.Hostname}}
mydestination =
alias_maps =
alias_database =
relayhost = [{{.NextHost}}]:{{.NextPort}}
mynetworks = 127.0.0.0/8
message_size_limit = {{.MaxMessageSize}}
maillog_file = {{.Dir}}/log
maillog_file_prefixes = {{.Dir}}
{{if .Login}}
# Clients of mynetworks are excepted from the limits of connections (anvil),
# which is why it stays; it is not what lets mail in.
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {{.Keys.TLSCert}}
smtpd_tls_key_file = {{.Keys.TLSKey}}
{{else}}
smtpd_relay_restrictions = permit_mynetworks, reject
{{end}}
{{- if .Sign}}
smtpd_milters = unix:opendkim/opendkim.sock
non_smtpd_milters = $smtpd_milters
milter_default_action = tempfail
{{end}}`

// postfixTuned is what an administrator writes who wants throughput and has
// one next hop that bears it.
const postfixTuned = `
# Never hold up clients for the sake of the queue manager.
in_flow_delay = 0
# The defaults are 20, and 5 to begin with.
default_destination_concurrency_limit = 50
initial_destination_concurrency = 50
`

// openDKIMConf is Debian's but for the paths, the body's canonicalization,
// which is the same for all peers, the umask, since smtpd is in no common group,
// and that the work directory may be below one that others write to, as /tmp.
const openDKIMConf = `
Syslog yes
SyslogSuccess yes
Canonicalization relaxed/relaxed
Mode s
Domain {{.SenderDomain}}
Selector {{.Selector}}
KeyFile {{.Dir}}/dkim.key
RequireSafeKeys no
OversignHeaders From
UserID opendkim
UMask 000
Socket local:{{.Dir}}/spool/opendkim/opendkim.sock
PidFile {{.Dir}}/opendkim.pid
`

// saslConf, which Debian's smtpd reads in sasl/ beside main.cf, has it look at
// Cyrus SASL's own database, in its own process: with saslauthd or Dovecot it
// would ask another one. The passwords in it are not hashed. The path is that in
// smtpd's root directory.
const saslConf = `pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN
sasldb_path: %s
`

type postfix struct {
	name  string
	tuned bool
}

// Postfix is Debian's, with OpenDKIM, as they are installed.
func Postfix() Peer { return postfix{name: "postfix"} }

// PostfixTuned is for throughput: without the delay that holds clients up,
// with more connections to the next hop, and without chroot.
func PostfixTuned() Peer { return postfix{name: "postfix-tuned", tuned: true} }

func (p postfix) Name() string { return p.name }

func (postfix) Needs() Needs { return Needs{Root: true, DNS: true} }

func (postfix) Version() (string, error) {
	own, err := debian("postfix")
	dkim, err2 := debian("opendkim")
	_, err3 := debian("sasl2-bin")
	return fmt.Sprintf("Postfix %s, OpenDKIM %s", own, dkim), errors.Join(err, err2, err3)
}

func (p postfix) Start(box *Box, s Setup) (Server, error) {
	plan, err := newPlan(s)
	if err != nil {
		return nil, err
	}
	if err := p.prepare(plan); err != nil {
		return nil, err
	}
	r := &postfixServer{box: box, plan: plan}
	if s.Sign {
		if err := r.startDKIM(); err != nil {
			return nil, err
		}
	}
	if err := r.control("start"); err != nil {
		return nil, errors.Join(err, r.stopDKIM())
	}
	if err := WaitListening(s.Address); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// prepare writes the configuration and what belongs into the queue directory.
func (p postfix) prepare(plan plan) error {
	main := postfixMain
	if p.tuned {
		main += postfixTuned
	}
	dist, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		return fmt.Errorf("%w: %s", err, install)
	}
	ids, err := account("postfix")
	if err != nil {
		return err
	}
	return errors.Join(
		plan.write("etc/main.cf", main),
		os.WriteFile(plan.path("etc/master.cf"), p.master(plan, string(dist)), 0o644),
		os.MkdirAll(plan.path("spool"), 0o755),
		os.MkdirAll(plan.path("data"), 0o755),
		os.Chown(plan.path("data"), ids.uid, -1),
		postfixChroot(plan),
		p.passwords(plan, ids),
	)
}

// master is Debian's master.cf with our address for port 25.
func (p postfix) master(plan plan, dist string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(dist) {
		f := strings.Fields(line)
		if service := len(f) == 8 && f[0] != "#" && line[0] != ' '; service {
			if f[0] == "smtp" && f[1] == "inet" {
				// One process for each client: with the 100 that are the default, the
				// idle connections beyond would wait for their greeting.
				f[0], f[6] = plan.Address, fmt.Sprint(plan.MaxConnections)
			}
			if p.tuned && f[4] == "y" {
				f[4] = "n"
			}
			line = strings.Join(f, " ") + "\n"
		}
		out.WriteString(line)
	}
	return out.Bytes()
}

// postfixChroot copies what Debian's start script copies.
func postfixChroot(plan plan) error {
	resolver, _, err := net.SplitHostPort(plan.DNS)
	if err != nil {
		return err
	}
	if err := plan.write("spool/etc/resolv.conf", "nameserver "+resolver+"\n"); err != nil {
		return err
	}
	for _, name := range []string{"localtime", "services", "hosts", "host.conf", "nsswitch.conf"} {
		b, err := os.ReadFile(filepath.Join("/etc", name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(plan.path("spool/etc/"+name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// passwords makes the database that smtpd asks.
func (p postfix) passwords(plan plan, ids owner) error {
	if !plan.Login {
		return nil
	}
	path, seen := plan.path("spool/etc/sasldb2"), "/etc/sasldb2"
	if p.tuned {
		seen = path
	}
	name, realm, _ := strings.Cut(plan.User, "@")
	cmd := exec.Command("saslpasswd2", "-p", "-c", "-f", path, "-u", realm, name)
	cmd.Stdin = strings.NewReader(plan.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("saslpasswd2: %w: %s", err, out)
	}
	return errors.Join(
		os.Chown(path, ids.uid, ids.gid),
		os.MkdirAll(plan.path("etc/sasl"), 0o755),
		os.WriteFile(plan.path("etc/sasl/smtpd.conf"), fmt.Appendf(nil, saslConf, seen), 0o644),
	)
}

type postfixServer struct {
	box  *Box
	plan plan
	dkim *process // nil if nothing is signed
}

func (r *postfixServer) startDKIM() error {
	ids, err := account("opendkim")
	if err != nil {
		return err
	}
	err = errors.Join(
		r.plan.write("opendkim.conf", openDKIMConf),
		r.plan.own(r.plan.Keys.DKIMPKCS1, "dkim.key", ids),
		os.MkdirAll(r.plan.path("spool/opendkim"), 0o755),
		os.Chown(r.plan.path("spool/opendkim"), ids.uid, ids.gid),
	)
	if err != nil {
		return err
	}
	cmd := r.box.Command("opendkim", "-f", "-x", r.plan.path("opendkim.conf"))
	if r.dkim, err = launch(r.box, cmd, r.plan.path("opendkim.log")); err != nil {
		return err
	}
	return r.dkim.listens("unix", r.plan.path("spool/opendkim/opendkim.sock"))
}

func (r *postfixServer) stopDKIM() error {
	if r.dkim == nil {
		return nil
	}
	// It looks only each five seconds whether it was told to end.
	return r.dkim.end(syscall.SIGKILL)
}

// controlTime is how long a command of postfix(1) may take.
const controlTime = 30 * time.Second

// control runs a command of postfix(1). It writes to a file: of a pipe the
// servers that are started, or who traces them, would keep the end open.
func (r *postfixServer) control(command string) error {
	p, err := launch(r.box, r.box.Command("postfix", "-c", r.plan.path("etc"), command), r.plan.path("control.log"))
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(controlTime):
		return errors.Join(fmt.Errorf("postfix %s does not end", command), p.end(syscall.SIGKILL))
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("postfix %s: %w", command, p.ended())
	}
	return nil
}

func (r *postfixServer) Flush() error { return r.control("flush") }

// Stop is abrupt: "stop" waits five seconds, for deliveries.
func (r *postfixServer) Stop() error {
	return errors.Join(r.control("abort"), r.stopDKIM(), settle(r.box))
}
