package clientcert

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/modules/check/senders"
	"github.com/waxwing-mail/waxwing/modules/listener/submission"
)

// openssl runs a command line of a shell in dir. In CI the program is there.
func openssl(t *testing.T, dir, command string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is not installed: .ci/run should have seen to it")
		}
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// manual runs the commands of the package comment, and returns the directory
// with what they made and the fingerprint that the last of them printed.
func manual(t *testing.T) (dir, fingerprint string) {
	t.Helper()
	src, err := os.ReadFile("clientcert.go")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^//\t(openssl .*)$`).FindAllSubmatch(src, -1)
	if len(commands) != 4 {
		t.Fatalf("the package comment has %d commands, want 4", len(commands))
	}
	dir = t.TempDir()
	for _, c := range commands {
		fingerprint = openssl(t, dir, string(c[1]))
	}
	return dir, strings.TrimSpace(fingerprint)
}

// server runs a listener whose users are those of c, each of whom may send as
// himself.
func server(t *testing.T, c *ClientCert) (*appliancetest.House, string) {
	t.Helper()
	own := &senders.Senders{Allow: map[string][]string{"*": {"{user}@local.test"}}}
	if err := own.Provision(&appliance.Context{}); err != nil {
		t.Fatal(err)
	}
	house := appliancetest.NewHouse(t, func(h *appliancetest.House, _ *appliance.House) {
		h.Users = nil
		h.Pipeline.Auth = []appliance.Ref[appliance.Authenticator]{appliance.RefTo[appliance.Authenticator](machines, c)}
		h.Pipeline.Checks = []appliance.Ref[appliance.Check]{
			appliance.RefTo[appliance.Check](appliance.Addr{Kind: appliance.KindCheck, Name: "own"}, own)}
	})
	l := submission.New()
	l.Address, l.TLS = "127.0.0.1:0", appliancetest.NewCertificates(t).Ref()
	ctx := &appliance.Context{
		Addr: appliance.Addr{Kind: appliance.KindListener, Name: "apps"}, Log: zap.NewNop(), Limits: appliance.DefaultSettings().Limits,
	}
	if err := l.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	l.Attach(house.Pipeline)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return house, l.Addrs()[0].String()
}

// A program is one that speaks for us, as a connection: what is written it
// sends, what it receives is read.
type program struct {
	net.Conn // nil: addresses are not asked for
	io.Reader
	in  io.WriteCloser
	cmd *exec.Cmd
}

func (p *program) Read(b []byte) (int, error)  { return p.Reader.Read(b) }
func (p *program) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *program) SetDeadline(time.Time) error { return nil } // cmd has one

func (p *program) Close() error {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill() // with -quiet it would wait for the server
	_ = p.cmd.Wait()
	return nil
}

// sClient is "openssl s_client" as a connection under STARTTLS.
func sClient(t *testing.T, dir, addr string, args ...string) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		args := append([]string{"s_client", "-quiet", "-starttls", "smtp", "-connect", addr}, args...)
		cmd := exec.CommandContext(ctx, "openssl", args...)
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		return &program{Reader: out, in: in, cmd: cmd}, cmd.Start()
	}
}

const printerSends = `C: EHLO client.example
S: 250 <<.*
has: ^250.AUTH EXTERNAL$
C: AUTH EXTERNAL =
S: 235 2.7.0 Authentication succeeded
C: MAIL FROM:<root@local.test>
S: 550 5.7.1 <<.*
C: MAIL FROM:<printer@local.test>
S: 250 <<.*
C: RCPT TO:<b@elsewhere.example>
S: 250 <<.*
C: DATA
S: 354 <<.*
C: From: printer@local.test
C: 
C: text
C: .
S: 250 <<.*
C: QUIT
S: 221 <<.*
close`

// TestOpenSSL: what the package comment tells an administrator to do, and a
// client that somebody else wrote. The user that comes of it is one as any
// other: A10.
func TestOpenSSL(t *testing.T) {
	dir, fingerprint := manual(t)
	var f Fingerprint
	if err := f.UnmarshalText([]byte(fingerprint)); err != nil {
		t.Fatalf("%q %v", fingerprint, err)
	}
	for name, c := range map[string]*ClientCert{
		"by the authority":   {CAFile: filepath.Join(dir, "clients-ca.pem")},
		"by the fingerprint": {Users: []User{{Name: "printer", Fingerprints: []Fingerprint{f}}}},
	} {
		t.Run(name, func(t *testing.T) {
			house, addr := server(t, provisioned(t, c))
			d := &appliancetest.Dialogue{Dial: sClient(t, dir, addr, "-cert", "printer.pem", "-key", "printer.key")}
			if err := d.Run(printerSends); err != nil {
				t.Fatalf("line %v", err)
			}
			got := house.Spool.Messages()[0].Header.Get("Received")
			if !strings.Contains(got, "with ESMTPSA (TLS 1.3 ") || strings.Contains(got, "printer") {
				t.Errorf("Received: %s", got)
			}
			for _, e := range house.Events.All() {
				if e.User != "printer" {
					t.Errorf("%s of user %q", e.Kind, e.User)
				}
			}
			d = &appliancetest.Dialogue{Dial: sClient(t, dir, addr)}
			if err := d.Run("C: EHLO c\nS: 250 <<.*\nlacks: AUTH\nC: AUTH EXTERNAL =\nS: 504 5.5.4 <<.*show a client certificate.*\nC: MAIL FROM:<a@local.test>\nS: 530 5.7.0 <<.*show a client certificate.*"); err != nil {
				t.Errorf("without a certificate: line %v", err)
			}
		})
	}
}

// TestOpenSSLRevoked: a list that "openssl ca" has made is read and relied on.
func TestOpenSSLRevoked(t *testing.T) {
	dir, _ := manual(t)
	const config = "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=1\ncertificate=clients-ca.pem\nprivate_key=ca.key\n"
	for name, content := range map[string]string{"ca.cnf": config, "index.txt": "", "crlnumber": "01\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl(t, dir, "openssl ca -config ca.cnf -gencrl -out clients.crl")
	c := &ClientCert{CAFile: filepath.Join(dir, "clients-ca.pem"), CRLFile: filepath.Join(dir, "clients.crl")}
	_, addr := server(t, provisioned(t, c))
	d := &appliancetest.Dialogue{Dial: sClient(t, dir, addr, "-cert", "printer.pem", "-key", "printer.key")}
	if err := d.Run("C: EHLO c\nS: 250 <<.*\nC: AUTH EXTERNAL =\nS: 235 <<.*"); err != nil {
		t.Errorf("not revoked: line %v", err)
	}
	openssl(t, dir, "openssl ca -config ca.cnf -revoke printer.pem && openssl ca -config ca.cnf -gencrl -out clients.crl")
	house, addr := server(t, provisioned(t, c))
	d = &appliancetest.Dialogue{Dial: sClient(t, dir, addr, "-cert", "printer.pem", "-key", "printer.key")}
	if err := d.Run("C: EHLO c\nS: 250 <<.*\nC: AUTH EXTERNAL =\nS: 535 5.7.8 Authentication credentials invalid"); err != nil {
		t.Errorf("revoked: line %v", err)
	}
	events := house.Events.All()
	if len(events) != 1 || events[0].Kind != appliance.EventAuthFailed || !strings.Contains(events[0].Reply.Error(), `auth.machines: invalid credentials: has been revoked: certificate SHA256:`) ||
		!strings.Contains(events[0].Reply.Error(), `subject "CN=printer"`) {
		t.Errorf("%+v", events)
	}
}
