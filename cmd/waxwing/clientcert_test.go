package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// clientPair makes a certificate that vouches for itself, and returns it and
// its SHA-256 fingerprint as Postfix writes it.
func clientPair(t *testing.T, dir, name string) (certificate, key, fingerprint string) {
	t.Helper()
	certificate, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	output(t, exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-days", "2", "-subj", "/CN="+name, "-keyout", key, "-out", certificate))
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	sum := sha256.Sum256(block.Bytes)
	return certificate, key, strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// set changes parameters of main.cf.
func (s *postfixServer) set(t *testing.T, parameters ...string) {
	t.Helper()
	etc := filepath.Join(s.dir, "etc")
	output(t, exec.Command(need(t, "postconf"), append([]string{"-c", etc, "-e"}, parameters...)...))
	output(t, exec.Command(need(t, "postfix"), "-c", etc, "reload"))
}

// TestPostfixClientCertificates: a Postfix that relays for certificates alone
// (relay_clientcerts, by fingerprint) takes our mail, goes on when the
// certificate is renewed on disk, and has it wait, not bounced, when it is that
// of a stranger.
func TestPostfixClientCertificates(t *testing.T) {
	postfix := startPostfix(t)
	first, firstKey, one := clientPair(t, postfix.dir, "first")
	second, secondKey, two := clientPair(t, postfix.dir, "second")
	stranger, strangerKey, _ := clientPair(t, postfix.dir, "stranger")
	known := filepath.Join(postfix.dir, "known.pem")
	concatenate(t, known, first, second)
	postfix.set(t, "smtpd_tls_security_level=encrypt", "smtpd_tls_req_ccert=yes", "smtpd_tls_CAfile="+known,
		"smtpd_tls_fingerprint_digest=sha256", "smtpd_tls_received_header=yes", "mynetworks=",
		fmt.Sprintf("relay_clientcerts=inline:{%s=yes, %s=yes}", one, two),
		"smtpd_recipient_restrictions=permit_tls_clientcerts, reject")

	own, ownKey, metrics := filepath.Join(t.TempDir(), "own.crt"), filepath.Join(t.TempDir(), "own.key"), freeAddress(t)
	install := func(certificate, key string) {
		t.Helper()
		concatenate(t, own, certificate)
		concatenate(t, ownKey, key)
	}
	install(first, firstKey)
	p := newProcess(t, fmt.Sprintf(`metrics { address = %q }
relay "smarthost" "out" {
  address            = %q
  tls                = "required"
  client_certificate = %q
  client_key         = %q
  idle               = "1s"
}`, metrics, postfix.address, own, ownKey))
	p.start()
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(subject string) {
		t.Helper()
		m := appliancetest.Message("app@example.com", "someone@example.net", subject, 1000)
		if _, err := c.Submit("app@example.com", []string{"someone@example.net"}, m); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func(subject, as string) {
		t.Helper()
		until(t, 30*time.Second, subject+" has arrived", func() bool {
			for _, m := range postfix.stored(t) {
				if bytes.Contains(m, []byte("Subject: "+subject+"\n")) {
					if !bytes.Contains(m, []byte(fmt.Sprintf("Client CN %q", as))) {
						t.Errorf("%s came from another client than %q:\n%s", subject, as, m)
					}
					return true
				}
			}
			return false
		})
	}
	send("by the first")
	arrived("by the first", "first")

	// renew exchanges the files, and waits until the server knows and has no
	// connection any more that the old certificate was shown on.
	renew := func(name, certificate, key string) {
		t.Helper()
		install(certificate, key)
		until(t, 20*time.Second, "the certificate is "+name, func() bool {
			m := get(t, "http://"+metrics+"/metrics")
			return strings.Contains(m, fmt.Sprintf(`waxwing_tls_cert_not_after_seconds{module="relay.out",name=%q}`, name)) &&
				strings.Contains(m, `waxwing_relay_connections_idle{module="relay.out"} 0`+"\n")
		})
	}
	renew("second", second, secondKey)
	send("by the second")
	arrived("by the second", "second")

	renew("stranger", stranger, strangerKey)
	send("by a stranger")
	until(t, 30*time.Second, "the message waits", func() bool { return strings.Contains(p.run("queue", "list", "--wide"), "someone@example.net") })
	until(t, 30*time.Second, "Postfix has refused the stranger", func() bool { return p.log.Count(`"msg":"deferred"`) > 0 })
	if n := len(postfix.stored(t)); n != 2 {
		t.Errorf("Postfix has %d messages, 2 wanted", n)
	}
}

// TestExternal: one Waxwing logs in to another with a certificate and without a
// password (SASL EXTERNAL). What the other does not know stays with the one.
func TestExternal(t *testing.T) {
	dir := t.TempDir()
	own, ownKey, fingerprint := clientPair(t, dir, "own")
	stranger, strangerKey, _ := clientPair(t, dir, "stranger")
	var box inbox
	sink := newSink(t, box.got)
	hub := newProcess(t, smarthost(sink.Addr()))
	hub.setting(`auth "static" "apps" {
  user "app" { password = env("APP_PASSWORD") }
}`, fmt.Sprintf(`auth "client_cert" "apps" {
  user "app" { fingerprints = ["SHA256:%s"] }
}`, fingerprint))
	hub.start()
	edge := func(certificate, key string) *process {
		p := newProcess(t, fmt.Sprintf(`relay "smarthost" "out" {
  address            = %q
  tls                = "required"
  client_certificate = %q
  client_key         = %q
  authenticate       = "external"
}`, hub.submit, certificate, key))
		p.start()
		c, err := appliancetest.DialSubmitter(p.login())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		m := appliancetest.Message("app@example.com", "someone@example.net", "by certificate", 1000)
		if _, err := c.Submit("app@example.com", []string{"someone@example.net"}, m); err != nil {
			t.Fatal(err)
		}
		return p
	}
	edge(own, ownKey)
	until(t, 20*time.Second, "the message has arrived", func() bool { return len(box.all()) == 1 })
	p := edge(stranger, strangerKey)
	until(t, 20*time.Second, "the stranger's message waits", func() bool { return p.log.Count(`"msg":"deferred"`) > 0 })
	if p.log.Count("does not accept our client certificate: 535") == 0 || len(box.all()) != 1 {
		t.Errorf("%d messages arrived, one wanted, and the reason in the log", len(box.all()))
	}
}

// concatenate makes a file of others, an hour old: who watches it takes it at
// once.
func concatenate(t *testing.T, path string, parts ...string) {
	t.Helper()
	var all []byte
	for _, part := range parts {
		b, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(path+".new", all, 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path+".new", when, when); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
