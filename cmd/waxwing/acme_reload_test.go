package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// Whatever a reload changes about certificates, clients that verify everything
// see nothing of it, and no authority is asked for what there is already
// (R12, X7, P18).
func TestACMEReload_R12_X7_P18(t *testing.T) {
	if testing.Short() {
		t.Skip("takes fifteen seconds; the plain go test ./... runs it")
	}
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	sink := newSink(t, book.got)
	a := newACME(t, acmetest.Options{}, smarthost(sink.Addr()))
	other := acmetest.Start(t, acmetest.Options{HTTPPort: portOf(t, a.ca.HTTPAddress()), TLSPort: portOf(t, a.ca.TLSAddress())})
	roots, err := os.ReadFile(other.RootsFile())
	if err != nil || !a.ca.Roots().AppendCertsFromPEM(roots) {
		t.Fatal("no other roots", err)
	}
	a.start()
	a.trusted()
	chain, key := a.exported()

	traffic := &traffic{a: a, book: book, stop: make(chan struct{}), serials: make(map[string]bool)}
	traffic.start(1)
	block := a.tlsBlock()
	in := func(old, replacement string) string { return strings.Replace(block, old, replacement, 1) }
	for _, step := range []struct {
		what          string
		block         string
		issued, other int // certificates in all
	}{
		{"another e-mail address", in("postmaster@", "hostmaster@"), 1, 0},
		{"one challenge", in("email", "challenges = [\"tls-alpn-01\"]\n  email"), 1, 0},
		{"another port", in(a.ca.HTTPAddress(), freeAddress(t)), 1, 0},
		{"another kind of key", in("email", "key_type = \"p384\"\n  email"), 1, 0},
		{"new keys", in("email", "reuse_key = false\n  email"), 1, 0},
		{"the same name, written", in("email", "names = [\"Mail.Example.COM\"]\n  email"), 1, 0},
		{"another name", in("email", "names = [\"mail.example.com\", \"smtp.example.com\"]\n  email"), 2, 0},
		{"without it", block, 2, 0},
		{"files", fmt.Sprintf("tls \"files\" \"auto\" {\n  certificate = %q\n  key = %q\n}\n", chain, key), 2, 0},
		{"no more files", block, 2, 0},
		{"another issuer", strings.Replace(in(a.ca.Directory(), other.Directory()), a.ca.RootFile(), other.RootFile(), 1), 2, 1},
		{"the first one again", block, 2, 1},
	} {
		a.reloadWith(step.block)
		beyond := traffic.handshakes.Load() + 12
		until(t, 20*time.Second, "there is traffic, "+step.what, func() bool { return traffic.handshakes.Load() > beyond })
		until(t, 20*time.Second, "the certificates of "+step.what, func() bool {
			return a.ca.Issued() == step.issued && other.Issued() == step.other
		})
	}
	traffic.finish()
	until(t, time.Minute, "everything answered 250 has arrived", func() bool { return book.missing() == 0 })
	report(t, book, 0)
	if a.ca.Issued() != 2 || other.Issued() != 1 {
		t.Errorf("%d and %d certificates were issued", a.ca.Issued(), other.Issued())
	}
}

// portOf is the port of an address.
func portOf(t *testing.T, address string) int {
	n, err := strconv.Atoi(port(address))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// exported are the files of a copy of the stored certificate, as somebody makes
// them who wants to keep it by other means.
func (a *acmeProcess) exported() (chain, key string) {
	a.t.Helper()
	found, err := filepath.Glob(filepath.Join(a.dir, "data", "values", "tls", "auto", "certificates", "*", "*", "*.pem"))
	if err != nil || len(found) != 1 {
		a.t.Fatalf("stored: %v, %v", found, err)
	}
	bundle, err := os.ReadFile(found[0])
	if err != nil {
		a.t.Fatal(err)
	}
	parts := make(map[bool][]byte) // by whether it is of a key
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		isKey := strings.HasSuffix(block.Type, "PRIVATE KEY")
		if isKey || block.Type == "CERTIFICATE" {
			parts[isKey] = append(parts[isKey], pem.EncodeToMemory(block)...)
		}
	}
	chain, key = filepath.Join(a.dir, "chain.pem"), filepath.Join(a.dir, "key.pem")
	if err := errors.Join(os.WriteFile(chain, parts[false], 0o600), os.WriteFile(key, parts[true], 0o600)); err != nil {
		a.t.Fatal(err)
	}
	return chain, key
}

// tlsBlock is the tls block of the file, to its last line.
func (a *acmeProcess) tlsBlock() string {
	src, err := os.ReadFile(a.config)
	if err != nil {
		a.t.Fatal(err)
	}
	from, to := strings.Index(string(src), "tls \""), strings.Index(string(src), "listener ")
	return string(src[from:to])
}

// reloadWith puts another tls block into the file, and has it read.
func (a *acmeProcess) reloadWith(block string) {
	a.t.Helper()
	a.setting(a.tlsBlock(), block+"\n")
	a.run("reload")
}

// A listener with a name of its own brings a certificate along, in the block
// that runs; when it is gone, so is the name.
func TestACMEListenerComesAndGoes_X7(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.start()
	a.trusted()
	without := fmt.Sprintf("{ address = %q }", a.submission.address)
	with := fmt.Sprintf("{\n  address  = %q\n  hostname = \"smtp.example.com\"\n}", a.submission.address)
	for n := range 2 {
		a.setting(without, with)
		a.run("reload")
		until(t, 20*time.Second, "there is a certificate for the name", func() bool {
			return a.ca.Issued() == 2 && strings.Contains(a.run("tls", "list"), "smtp.example.com")
		})
		a.setting(with, without)
		a.run("reload")
		until(t, 20*time.Second, "nobody keeps the name", func() bool { return !strings.Contains(a.run("tls", "list"), "smtp.example.com") })
		if _, err := a.submission.handshake(a.ca.Roots()); err != nil || a.ca.Issued() != 2 {
			t.Errorf("round %d: %v, %d certificates issued", n, err, a.ca.Issued())
		}
	}
}
