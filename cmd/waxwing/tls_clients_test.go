package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/smtp"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A door is a listener as clients see it.
type door struct {
	name     string
	address  string
	implicit bool // TLS from the first octet
}

// handshake connects and returns what has come of it. A nil pool verifies
// nothing.
func (d door) handshake(roots *x509.CertPool) (tls.ConnectionState, error) {
	config := &tls.Config{ServerName: "mail.example.com", RootCAs: roots, InsecureSkipVerify: roots == nil}
	conn, err := net.DialTimeout("tcp", d.address, 10*time.Second)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return tls.ConnectionState{}, err
	}
	if d.implicit {
		c := tls.Client(conn, config)
		err := c.Handshake()
		return c.ConnectionState(), err
	}
	c, err := smtp.NewClient(conn, "mail.example.com")
	if err != nil {
		return tls.ConnectionState{}, err
	}
	if err := c.StartTLS(config); err != nil {
		return tls.ConnectionState{}, err
	}
	state, _ := c.TLSConnectionState()
	return state, nil
}

// served is the certificate that the listener shows.
func (d door) served(t *testing.T) *x509.Certificate {
	t.Helper()
	state, err := d.handshake(nil)
	if err != nil {
		t.Fatalf("%s: %v", d.name, err)
	}
	return state.PeerCertificates[0]
}

// openssl does a handshake as a strict client does: name, chain and time are
// verified. The server must send the intermediate certificate, for the file
// has the root only.
func (d door) openssl(t *testing.T, roots string, extra ...string) {
	t.Helper()
	args := []string{"s_client", "-connect", d.address, "-CAfile", roots, "-verify_return_error", "-verify_hostname", "mail.example.com", "-brief"}
	if !d.implicit {
		args = append(args, "-starttls", "smtp")
	}
	cmd := exec.Command(need(t, "openssl"), append(args, extra...)...)
	cmd.Stdin = strings.NewReader("QUIT\r\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Verification: OK")) || !bytes.Contains(out, []byte("Verified peername: mail.example.com")) {
		t.Errorf("%s: openssl s_client %v: %v\n%s", d.name, extra, err, out)
	}
}

// posttlsFinger asks Postfix what it thinks of the certificate.
func (d door) posttlsFinger(t *testing.T, level, roots string) {
	t.Helper()
	args := []string{"-c", "-l", level, "-F", roots, "-s", "mail.example.com"}
	if d.implicit {
		args = append(args, "-w")
	}
	out, err := exec.Command(need(t, "posttls-finger"), append(args, "["+host(d.address)+"]:"+port(d.address), "mail.example.com")...).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Verified TLS connection established")) {
		t.Errorf("%s: posttls-finger -l %s: %v\n%s", d.name, level, err, out)
	}
}

// posttlsFingerprint asks Postfix whether the certificate has a public key: the
// fingerprint of one is what a TLSA record 3 1 1 holds.
func (d door) posttlsFingerprint(t *testing.T, sum string) {
	t.Helper()
	var pairs []string
	for pair := range slices.Chunk([]byte(strings.ToUpper(sum)), 2) {
		pairs = append(pairs, string(pair))
	}
	out, err := exec.Command(need(t, "posttls-finger"), "-c", "-l", "fingerprint", "-d", "sha256",
		"["+host(d.address)+"]:"+port(d.address), strings.Join(pairs, ":")).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Verified TLS connection established")) {
		t.Errorf("%s: posttls-finger does not find the key %s: %v\n%s", d.name, sum, err, out)
	}
}

// sslscan looks for protocols that are not good enough any more (A5).
func (d door) sslscan(t *testing.T) {
	t.Helper()
	args := []string{"--no-colour", "--no-ciphersuites", "--no-groups", "--sni-name=mail.example.com"}
	if !d.implicit {
		args = append(args, "--starttls-smtp")
	}
	out := output(t, exec.Command(need(t, "sslscan"), append(args, d.address)...))
	for protocol, want := range map[string]string{
		"SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.0": "disabled", "TLSv1.1": "disabled",
		"TLSv1.2": "enabled", "TLSv1.3": "enabled",
	} {
		if got := scanned(out, protocol); got != want {
			t.Errorf("%s: sslscan says that %s is %q, want %s:\n%s", d.name, protocol, got, want, out)
		}
	}
	for _, bad := range []string{"Insecure session renegotiation", "Compression enabled", "vulnerable to heartbleed"} {
		if strings.Contains(strings.ReplaceAll(out, "not vulnerable", ""), bad) {
			t.Errorf("%s: sslscan says %q:\n%s", d.name, bad, out)
		}
	}
}

func scanned(out, protocol string) string {
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == protocol {
			return f[1]
		}
	}
	return ""
}

func host(address string) string {
	h, _, _ := net.SplitHostPort(address)
	return h
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}
