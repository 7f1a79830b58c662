package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// Every configuration says that mail is signed, and that users log in, if
// that is the setup, and only then.
func TestConfigurations(t *testing.T) {
	texts := map[string]struct{ text, sign, login, open string }{
		"main.cf":       {postfixMain, "opendkim.sock", "smtpd_tls_security_level = encrypt", "permit_mynetworks"},
		"exim.conf":     {eximConf, "dkim_strict = true", "server_condition", "hostlist relay_from_hosts = 127.0.0.0/8"},
		"maddy.conf":    {maddyConf, "dkim {", "auth &users", "smtp tcp://127.0.0.1:2501"},
		"plugins":       {harakaFiles["plugins"], "dkim", "auth/flat_file", ""},
		"relay.ini":     {harakaFiles["relay.ini"], "", "acl=false", "acl=true"},
		"dkim.ini":      {harakaFiles["dkim.ini"], "enabled = true", "", ""},
		"chasquid.conf": {chasquidConf, "", "", ""},
		"opendkim.conf": {openDKIMConf, "", "", ""},
	}
	for _, s := range []Setup{{}, {Sign: true}, {Login: true}, {Sign: true, Login: true}} {
		s.Address, s.NextHop, s.DNS = "127.0.0.1:2501", "127.0.0.1:2502", "127.0.2.53:53"
		p, err := newPlan(s)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range texts {
			got := executed(t, name, c.text, maddyPlan{plan: p, Hash: "bcrypt:x"})
			for part, want := range map[string]bool{c.sign: s.Sign, c.login: s.Login, c.open: !s.Login} {
				if part != "" && strings.Contains(got, part) != want {
					t.Errorf("%s with %+v: %q is there: %v\n%s", name, s, part, !want, got)
				}
			}
		}
	}
}

func executed(t *testing.T, name, text string, with any) string {
	t.Helper()
	var b strings.Builder
	if err := template.Must(template.New(name).Parse(text)).Execute(&b, with); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlanRefuses(t *testing.T) {
	if _, err := newPlan(Setup{Address: "127.0.0.1:25", NextHop: "127.0.0.1"}); err == nil {
		t.Error("a next hop without a port was taken")
	}
}

func TestPostfixMaster(t *testing.T) {
	const dist = `# service type  private unpriv  chroot  wakeup  maxproc command + args
smtp      inet  n       -       y       -       -       smtpd
#smtp      inet  n       -       y       -       1       postscreen
qmgr      unix  n       -       n       300     1       qmgr
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
`
	p, err := newPlan(Setup{Address: "127.0.0.1:2501", NextHop: "127.0.0.1:2502"})
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[postfix][]string{
		{}:            {"127.0.0.1:2501 inet n - y - 600 smtpd\n", "qmgr unix n - n 300 1 qmgr\n", "relay unix - - y - - smtp\n        -o syslog"},
		{tuned: true}: {"127.0.0.1:2501 inet n - n - 600 smtpd\n", "relay unix - - n - - smtp\n        -o syslog"},
	} {
		got := string(peer.master(p, dist))
		for _, line := range want {
			if !strings.Contains(got, "\n"+line) {
				t.Errorf("tuned %v: %q is missing:\n%s", peer.tuned, line, got)
			}
		}
	}
}

// A server that ends by itself fails the measurement, and its log is told.
func TestProcessEnds(t *testing.T) {
	r := launched(t, `echo out of memory; exit 3`)
	if err := r.listens("unix", filepath.Join(t.TempDir(), "nobody")); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("listens: %v", err)
	}
	if err := r.stop(); err == nil {
		t.Error("nothing was said of a server that has ended by itself")
	}
}

// stop waits for what a server has started, too.
func TestProcessStops(t *testing.T) {
	r := launched(t, `while kill -0 $$ 2>/dev/null; do sleep 0.02; done & echo up; wait`)
	for !strings.Contains(r.tail(), "up") {
		select {
		case <-r.done:
			t.Fatal(r.ended())
		default:
		}
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if list, err := r.box.pids(); err != nil || len(list) != 0 {
		t.Errorf("%v live, %v", list, err)
	}
}

func launched(t *testing.T, script string) *process {
	t.Helper()
	dir := t.TempDir()
	b, err := NewBox(BoxOptions{Name: "process", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := launch(b, b.Command("sh", "-c", script), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAccount(t *testing.T) {
	if o, err := account("root"); err != nil || o != root {
		t.Errorf("root is %v, %v", o, err)
	}
	if _, err := account("nobody of this name"); err == nil || !strings.Contains(err.Error(), "install.sh") {
		t.Errorf("got %v", err)
	}
}

// A program that is not there says how to install it.
func TestPresent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := present(name); err == nil || !strings.Contains(err.Error(), "install.sh") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := present(name); err != nil {
		t.Error(err)
	}
}
