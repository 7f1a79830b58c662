package smtpserver

import (
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"net/netip"
	"strings"

	"go.uber.org/zap"
)

// warnOfGateway tells the administrator when a trusted network holds the
// gateway of the container that this is. A runtime that forwards a published
// port through a proxy of its own, as Docker's userland proxy, rootless Docker
// and Docker Desktop do, makes every client of the world come from there: with
// that address trusted, this is an open relay.
func (s *Server) warnOfGateway(root fs.FS) {
	if !inContainer(root) {
		return // a router of a local network sends on the addresses of others
	}
	gateway, ok := defaultGateway(root)
	if !ok {
		return
	}
	if entry := s.trusts(gateway); entry != "" {
		s.log.Warn("a trusted network holds the gateway of this container: strangers can seem to come from it, "+
			"and could then send to anybody. Trust a network of your own that the gateway is not in, or let clients log in",
			zap.String("trusted", entry), zap.Stringer("gateway", gateway))
	}
}

// inContainer says whether the files are there that Docker and Podman leave.
func inContainer(root fs.FS) bool {
	for _, name := range []string{".dockerenv", "run/.containerenv"} {
		if _, err := fs.Stat(root, name); err == nil {
			return true
		}
	}
	return false
}

// defaultGateway finds the IPv4 gateway in the routing table of Linux
// (proc_net(5)): interface, destination and gateway, of which the addresses
// are hexadecimal in the order of the machine.
func defaultGateway(root fs.FS) (netip.Addr, bool) {
	table, err := fs.ReadFile(root, "proc/net/route")
	if err != nil {
		return netip.Addr{}, false
	}
	for line := range strings.Lines(string(table)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[1] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(words[2])
		if err != nil || len(b) != 4 {
			continue
		}
		var ip [4]byte
		binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
		return netip.AddrFrom4(ip), true
	}
	return netip.Addr{}, false
}
