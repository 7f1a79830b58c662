package compare

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestOpensslSpeed(t *testing.T) {
	const out = "+DTP:2048:private:rsa:1\n+R1:4000:2048:1.00\n+F2:2:2048:4000.000000:81000.000000\n"
	if got := opensslSpeed(out); got != 4000 {
		t.Errorf("%v signatures a second, want 4000", got)
	}
	if got := opensslSpeed("openssl: no"); !isNone(got) {
		t.Errorf("got %v", got)
	}
}

func TestGoSignature(t *testing.T) {
	k, err := newKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := goSignature(k.rsa, 20*time.Millisecond); err != nil || got < 0.01 || got > 100 {
		t.Errorf("a signature takes %v ms, %v", got, err)
	}
}

func TestCPUTicks(t *testing.T) {
	idle, all := cpuTicks("cpu  100 0 50 700 100 10 10 30 999 0\ncpu0 1 2 3\n")
	if idle != 800 || all != 1000 {
		t.Errorf("idle %v of %v, want 800 of 1000", idle, all)
	}
	if got, err := busy(time.Millisecond); err != nil || got < 0 || got > 100 {
		t.Errorf("%v %% are busy, %v", got, err)
	}
}

func TestMountOf(t *testing.T) {
	const mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /work xfs rw 0 0\n/dev/vdc /work2 btrfs rw 0 0\n"
	for dir, want := range map[string]string{"/tmp/x": "tmpfs on tmpfs", "/work/main": "xfs on /dev/vdb", "/var": "ext4 on /dev/vda", "/work": "xfs on /dev/vdb"} {
		if got := mountOf(mounts, dir); got != want {
			t.Errorf("%s is on %q, want %q", dir, got, want)
		}
	}
}

func TestSyncTime(t *testing.T) {
	if got, err := syncTime(t.TempDir(), 3); err != nil || got <= 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAnswerName(t *testing.T) {
	for _, c := range []struct {
		name  string
		typ   uint16
		rcode int
		n     int
	}{
		{"dest.test.", dns.TypeMX, dns.RcodeSuccess, 1},
		{"DEST.test.", dns.TypeMX, dns.RcodeSuccess, 1},
		{"dest.test.", dns.TypeAAAA, dns.RcodeSuccess, 0},
		{"mx.dest.test.", dns.TypeA, dns.RcodeSuccess, 1},
		{"sel._domainkey.sender.test.", dns.TypeTXT, dns.RcodeSuccess, 1},
		{"example.com.", dns.TypeMX, dns.RcodeNameError, 0},
	} {
		m := answerName(new(dns.Msg).SetQuestion(c.name, c.typ), "127.0.0.2", "v=DKIM1; p="+string(make([]byte, 300)))
		if m.Rcode != c.rcode || len(m.Answer) != c.n {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.typ], m)
		}
		if _, err := m.Pack(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
