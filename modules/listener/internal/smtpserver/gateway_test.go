package smtpserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestP16_Gateway: in a container whose gateway is trusted the log warns of an
// open relay, and elsewhere it does not.
func TestP16_Gateway(t *testing.T) {
	order := func(ip string) string { // as the kernel writes an address
		b := netip.MustParseAddr(ip).As4()
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(b[:]))
	}
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	local := "eth0\t" + order("172.17.0.0") + "\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
	route := head + local + "eth0\t00000000\t" + order("172.17.0.1") + "\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	for _, c := range []struct {
		name, trusted, marker, table string
		want                         int
	}{
		{"Docker", "172.16.0.0/12", ".dockerenv", route, 1},
		{"Podman", "172.17.0.1/32", "run/.containerenv", route, 1},
		{"a network beside it", "172.30.0.0/24", ".dockerenv", route, 0},
		{"nobody trusted", "", ".dockerenv", route, 0},
		{"no container", "172.16.0.0/12", "etc/passwd", route, 0},
		{"no default route", "172.16.0.0/12", ".dockerenv", head + local, 0},
		{"nonsense", "0.0.0.0/8", ".dockerenv", "\n\x00\neth0 00000000\neth0 00000000 zz 1\neth0 00000000 00 1\n", 0},
		{"no table", "172.16.0.0/12", ".dockerenv", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := fstest.MapFS{c.marker: {}}
			if c.table != "" {
				root["proc/net/route"] = &fstest.MapFile{Data: []byte(c.table)}
			}
			core, logs := observer.New(zap.WarnLevel)
			s := &Server{log: zap.New(core)}
			if c.trusted != "" {
				s.networks = []trusted{{c.trusted, netip.MustParsePrefix(c.trusted)}}
			}
			s.warnOfGateway(root)
			if logs.Len() != c.want {
				t.Errorf("%d warnings, want %d: %v", logs.Len(), c.want, logs.All())
			}
		})
	}
}
