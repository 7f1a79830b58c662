package smtpconn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smtpSink starts Postfix's smtp-sink and returns where it listens. It is in
// Debian's package postfix; CI has it.
func smtpSink(t *testing.T, args ...string) netip.AddrPort {
	t.Helper()
	path, err := exec.LookPath("smtp-sink")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/smtp-sink")
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("smtp-sink is not installed (Debian: apt install postfix)")
	}
	if err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(path, append(args, addr.String(), "100")...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("smtp-sink: %s", &out)
		}
	})
	for deadline := time.Now().Add(5 * time.Second); ; {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("smtp-sink does not listen: %v\n%s", err, &out)
		}
		time.Sleep(10 * time.Millisecond) // it has no other way to say that it is ready
	}
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

// TestSMTPSink is what a server that we did not write makes of us.
func TestSMTPSink(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
		text string
	}{
		{"takes it", nil, "250 2.0.0 remote, 250 2.0.0 remote", ""},
		{"no PIPELINING", []string{"-p"}, "250 2.0.0 remote, 250 2.0.0 remote", ""},
		{"HELO only", []string{"-e"}, "250 2.0.0 remote, 250 2.0.0 remote", ""},
		{"N6 disconnects after the dot", []string{"-q", "."}, "451 4.4.2, 451 4.4.2", "ambiguous"},
		{"N5 disconnects at DATA", []string{"-q", "DATA"}, "451 4.4.2, 451 4.4.2", "lost"},
		{"rejects RCPT", []string{"-f", "RCPT"}, "500 5.3.0 remote, 500 5.3.0 remote", ""},
		{"defers MAIL", []string{"-r", "MAIL"}, "450 4.3.0 remote, 450 4.3.0 remote", ""},
		{"rejects the content", []string{"-f", "."}, "500 5.3.0 remote, 500 5.3.0 remote", ""},
		{"defers DATA", []string{"-r", "DATA"}, "450 4.3.0 remote, 450 4.3.0 remote", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			target := Target{Name: "sink.test", Addr: smtpSink(t, tc.args...), TLS: TLSOpportunistic}
			rs := pool(t).Deliver(t.Context(), envelope("one@b.test", "two@b.test"), simple, targets(target))
			check(t, rs, tc.want)
			if !strings.Contains(rs[0].Reply.Text, tc.text) {
				t.Errorf("text %q, want %q", rs[0].Reply.Text, tc.text)
			}
		})
	}
}

// TestSMTPSinkContent compares what the sink wrote to disk with what was sent.
func TestSMTPSinkContent(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // the sink runs as nobody
		t.Fatal(err)
	}
	for d := filepath.Dir(dir); d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target := Target{Name: "sink.test", Addr: smtpSink(t, "-d", dir+"/%M."), TLS: TLSNone}
	body := "\r\n.\r\n..\r\n.x\r\n" + strings.Repeat(strings.Repeat("y", 70)+"\r\n", 2000)
	p := pool(t)
	check(t, p.Deliver(t.Context(), envelope("one@b.test"), message("Subject: dots\r\n", body), targets(target)), "250 2.0.0 remote")
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(b), "Subject: ")
	want := strings.ReplaceAll("dots\r\n"+body, "\r\n", "\n")
	if got = strings.TrimRight(got, "\n"); got != strings.TrimRight(want, "\n") {
		t.Errorf("got %d octets, %.60q…; want %d octets, %.60q…", len(got), got, len(want), want)
	}
}

// BenchmarkDeliver is messages of 10 KB and 1 MB over kept connections to a
// sink in the same process, by DATA and by BDAT.
func BenchmarkDeliver(b *testing.B) {
	for _, kb := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%dKB/DATA", kb), func(b *testing.B) { benchmarkDeliver(b, kb) })
		b.Run(fmt.Sprintf("%dKB/BDAT", kb), func(b *testing.B) { benchmarkDeliver(b, kb, "CHUNKING") })
	}
}

func benchmarkDeliver(b *testing.B, kb int, extensions ...string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go fastSink(l, extensions...)
	defer func() { _ = l.Close() }()
	p := NewPool(Config{Hello: "client.test"})
	target := Target{Name: "sink.test", Addr: netip.MustParseAddrPort(l.Addr().String()), TLS: TLSNone}
	msg := message("Subject: x\r\n", "\r\n"+strings.Repeat(strings.Repeat("x", 76)+"\r\n", kb*13))
	env := envelope("one@b.test")
	b.SetBytes(msg.Size())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			rs := p.Deliver(context.Background(), env, msg, targets(target))
			if rs[0].Reply.Code != 250 {
				b.Error(rs[0].Reply.Error())
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if err := p.Stop(context.Background()); err != nil {
		b.Error(err)
	}
}
