package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/cmd"
	"github.com/waxwing-mail/waxwing/modules/signer/dkim"
)

// secretRun is a configuration with secrets, and everything that was said
// about it.
type secretRun struct {
	dir, file, text         string
	admin, metrics, at, own string
	out                     lockedBuffer
}

func newSecretRun(t *testing.T) *secretRun {
	t.Helper()
	dir := t.TempDir()
	r := &secretRun{dir: dir, file: filepath.Join(dir, "mail.hcl"), admin: address(t), metrics: address(t), at: address(t), own: address(t)}
	t.Setenv("MARK_TOKEN", "MARK-token-0123456789")
	t.Setenv("MARK_PASSWORD", "MARK-env-password")
	t.Setenv("MARK_TSIG", "MARK/tsig/key+0123456789abcdefg=")
	t.Setenv("MARK_RELAY", "MARK-relay-password")
	key, err := dkim.Generate(dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	certificate, own := makePair(t)
	for name, content := range map[string]string{
		"password": "MARK-file-password\n", "key.pem": string(key.PEM()), "bad.pem": badKey, "pair.pem": certificate, "pair.key": own,
		"htpasswd": "legacy:" + legacyHash + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, fmt.Sprintf(secretConfig, dir, r.admin, r.metrics, r.at, r.own))
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
		"hash": "MARK-wrong-password", "nobody": "MARK-wrong-password", "legacy": "MARK-wrong-password",
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

// legacyHash is one that no password has.
const legacyHash = "$2y$04$MARKMARKMARKMARKMARKMO2OjYHyN4Yv1L3gfjKXlYnl6IEG7HdT."

// makePair makes a certificate and its key.
func makePair(t *testing.T) (certificate, own string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"own.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// keys are lines of all private keys that lie in the directory: of those that
// were put there, and of those that the server has made.
func (r *secretRun) keys(t *testing.T) (lines []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			if strings.HasSuffix(block.Type, "PRIVATE KEY") && len(block.Bytes) > 40 {
				files++
				text := base64.StdEncoding.EncodeToString(block.Bytes)
				lines = append(lines, text[24:64], fmt.Sprintf("%x", block.Bytes[18:48])) // the first octets say which kind it is
			}
		}
		return err
	})
	if err != nil || files < 3 {
		t.Fatalf("%d private keys were found in %s, %v", files, r.dir, err)
	}
	return lines
}

// watch collects the events of the server. The returned function waits for its
// end.
func (r *secretRun) watch() (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ask("events", "--json")
	}()
	return func() { <-done }
}

// bounce returns the message that waits to its sender, and reads the report.
func (r *secretRun) bounce(t *testing.T) {
	t.Helper()
	before := len(r.said())
	r.ask("queue", "list", "--json")
	id := firstID.FindStringSubmatch(r.said()[before:])
	if id == nil {
		t.Fatalf("nothing is in the queue:\n%s", r.said()[before:])
	}
	r.ask("queue", "show", id[1])
	r.ask("queue", "show", id[1], "--json")
	r.ask("queue", "bounce", id[1])
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		before = len(r.said())
		r.ask("capture", "list", "--json")
		if id = firstID.FindStringSubmatch(r.said()[before:]); id != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no report")
		}
	}
	r.ask("capture", "show", id[1])
}

var firstID = regexp.MustCompile(`"id": "([^"]+)"`)

// clumsy is a client that shows a password where none belongs: before TLS, as a
// command, as the name of a mechanism, as a parameter, as its own name.
func (r *secretRun) clumsy(t *testing.T) {
	t.Helper()
	const mark = "MARK-wrong-password"
	encoded := base64.StdEncoding.EncodeToString([]byte(mark))
	for _, line := range []string{
		"AUTH PLAIN " + encoded, "AUTH LOGIN", encoded, mark, "AUTH " + mark, "AUTH " + mark + " " + mark,
		"MAIL FROM:<a@example.com> AUTH=" + mark, "PASS " + mark,
	} {
		c, err := net.Dial("tcp", r.at)
		if err != nil {
			t.Fatal(err)
		}
		replies := textproto.NewReader(bufio.NewReader(c))
		for _, line := range []string{"", "EHLO client\r\n", line + "\r\n", "QUIT\r\n"} {
			fmt.Fprint(c, line)
			code, text, err := replies.ReadResponse(0)
			if code == 0 {
				t.Errorf("%q: %v", line, err)
			}
			fmt.Fprintln(&r.out, code, text)
		}
		c.Close()
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
