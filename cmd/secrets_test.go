package cmd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/cmd"
	"github.com/waxwing-mail/waxwing/modules/signer/dkim"
)

// secretConfig holds a secret in every place that takes one. %[1]s is a
// directory, the others are addresses.
const secretConfig = `
hostname = "mail.example.com"
data_dir = "%[1]s/data"
log { level = "debug" }
admin {
  address = "%[2]s"
  token   = env("MARK_TOKEN")
}
metrics { address = "%[3]s" }
listener "submission" "public" { address = "%[4]s" }
auth "static" "apps" {
  user "literal" { password = "MARK-literal-password" }
  user "env" { password = env("MARK_PASSWORD") }
  user "file" { password = file("%[1]s/password") }
  user "hash" { password_hash = "$2y$04$MARKMARKMARKMARKMARKMO2OjYHyN4Yv1L3gfjKXlYnl6IEG7HdT." }
}
dns "rfc2136" "zone" {
  server   = "127.0.0.1:1"
  key_name = "acme."
  key      = env("MARK_TSIG")
}
tls "acme" "public" {
  self_signed = true
  dns         = dns.zone
  issuer "down" {
    directory  = "https://127.0.0.1:1/directory"
    eab_key_id = "account"
    eab_key    = "MARK-eab-key"
  }
}
signer "dkim" "own" {
  key "mail" {
    domain = "example.com"
    file   = "%[1]s/key.pem"
  }
}
relay "smarthost" "out" {
  address  = "127.0.0.1:1"
  username = "relay-user"
  password = env("MARK_RELAY")
}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  signers   = [signer.own]
  relay     = relay.out
}
`

// marks are what no output may hold.
var marks = []string{
	"MARK-token-0123456789", "MARK-literal-password", "MARK-env-password", "MARK-file-password",
	"MARKMARKMARK", "MARK-relay-password", "MARK-wrong-password", "MARK-eab-key", "MARK/tsig/key", "BEGIN PRIVATE KEY",
}

// badKey is a file that is taken for a key, and is none.
const badKey = "-----BEGIN PRIVATE KEY-----\nMARKMARKMARK\n-----END PRIVATE KEY-----\n"

// TestP19 runs a server that knows secrets, logs in rightly and wrongly, breaks
// the configuration, asks everything there is to ask, and looks for them.
func TestP19(t *testing.T) {
	r := newSecretRun(t)
	logged := r.serve(t)
	r.ask("health", "--wait", "20s")
	r.login(t)
	r.ask("send", "--from", "app@example.com", "--to", "you@example.net", "--body", "x", "--wait")
	for _, command := range []string{
		"status --json", "status", "queue list --json", "queue list --wide", "dkim show --json", "validate --json",
		"reload --plan --json", "reload", "version", "capture list", "fmt --check",
		"tls list", "tls list --json", "tls renew mail.example.com", "tls tlsa",
	} {
		r.ask(strings.Fields(command)...)
	}
	r.get(t, "/metrics")
	good := r.text
	const password, eab, tsig = `password = "MARK-literal-password"`, `eab_key    = "MARK-eab-key"`, `key      = env("MARK_TSIG")`
	const relay = `address  = "127.0.0.1:1"`
	for name, c := range map[string]struct{ is, becomes string }{
		"unknown attribute": {password, `passwort = "MARK-literal-password"`},
		"wrong type":        {password, `password = ["MARK-literal-password"]`},
		"not closed":        {password, `password = "MARK-literal-password`},
		"no function":       {password, `password = enw("MARK-literal-password")`},
		"both":              {password, "password = env(\"MARK_PASSWORD\")\n    password_hash = \"MARKMARKMARK\""},
		"template":          {password, `password = "MARK-literal-password${x}"`},
		"no base64url":      {eab, `eab_key = "MARK-eab-key is none"`},
		"no eab_key_id":     {`eab_key_id = "account"`, ""},
		"no base64":         {tsig, `key = "MARK/tsig/key is none"`},
		"client key":        {relay, fmt.Sprintf("%s\n  client_certificate = %q\n  client_key = %[2]q", relay, r.dir+"/bad.pem")},
	} {
		r.write(t, strings.Replace(good, c.is, c.becomes, 1))
		if n := len(r.said()); r.ask("validate") != 3 || r.ask("validate", "--json") != 3 || r.ask("reload") != 3 || len(r.said()) == n {
			t.Errorf("%s: the configuration was taken, or nothing was said", name)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "key.pem"), []byte(badKey), 0o600); err != nil {
		t.Fatal(err)
	}
	r.write(t, good)
	r.ask("validate")
	r.ask("stop", "--timeout", "0")
	everything := r.said() + logged()
	if !strings.Contains(everything, "auth_failed") || !strings.Contains(everything, "waxwing_messages_accepted_total") ||
		!strings.Contains(everything, "there is no new certificate for mail.example.com") {
		t.Errorf("the test has not seen what it looks into:\n%s", everything)
	}
	for _, mark := range marks {
		if i := strings.Index(everything, mark); i >= 0 {
			t.Errorf("%s is in the output: …%s…", mark, everything[max(0, i-300):min(len(everything), i+100)])
		}
	}
}

// secretRun is a configuration with secrets, and everything that was said
// about it.
type secretRun struct {
	dir, file, text    string
	admin, metrics, at string
	out                lockedBuffer
}

func newSecretRun(t *testing.T) *secretRun {
	t.Helper()
	dir := t.TempDir()
	r := &secretRun{dir: dir, file: filepath.Join(dir, "mail.hcl"), admin: address(t), metrics: address(t), at: address(t)}
	t.Setenv("MARK_TOKEN", "MARK-token-0123456789")
	t.Setenv("MARK_PASSWORD", "MARK-env-password")
	t.Setenv("MARK_TSIG", "MARK/tsig/key+0123456789abcdefg=")
	t.Setenv("MARK_RELAY", "MARK-relay-password")
	key, err := dkim.Generate(dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"password": "MARK-file-password\n", "key.pem": string(key.PEM()), "bad.pem": badKey} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, fmt.Sprintf(secretConfig, dir, r.admin, r.metrics, r.at))
	return r
}

func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (r *secretRun) write(t *testing.T, text string) {
	t.Helper()
	r.text = text
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *secretRun) said() string { return r.out.String() }

// serve runs the server. The returned function waits for its end and returns
// the log.
func (r *secretRun) serve(t *testing.T) func() string {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var log lockedBuffer
	done := make(chan int, 1)
	go func() { done <- cmd.Run(ctx, []string{"run", "--config", r.file}, strings.NewReader(""), &log, &log) }()
	return func() string {
		select {
		case status := <-done:
			if status != 0 {
				t.Errorf("run ended with status %d:\n%s", status, log.String())
			}
		case <-time.After(20 * time.Second):
			t.Error("the server does not end")
		}
		return log.String()
	}
}

func (r *secretRun) ask(args ...string) int {
	return cmd.Run(context.Background(), append(args, "--config", r.file), strings.NewReader(""), &r.out, &r.out)
}

// login logs in with each password, and with a wrong one.
func (r *secretRun) login(t *testing.T) {
	t.Helper()
	for user, password := range map[string]string{
		"literal": "MARK-literal-password", "env": "MARK-env-password", "file": "MARK-file-password",
		"hash": "MARK-wrong-password", "nobody": "MARK-wrong-password",
	} {
		err := r.auth(user, password)
		if (err == nil) != (password != "MARK-wrong-password") {
			t.Errorf("user %s: %v", user, err)
		}
		if err != nil {
			fmt.Fprintln(&r.out, err) // what the client is told
		}
	}
}

func (r *secretRun) auth(user, password string) error {
	c, err := smtp.Dial(r.at)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		return err
	}
	return c.Auth(smtp.PlainAuth("", user, password, "127.0.0.1"))
}

func (r *secretRun) get(t *testing.T, path string) {
	t.Helper()
	resp, err := http.Get("http://" + r.metrics + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(&r.out, resp.Body); err != nil {
		t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
