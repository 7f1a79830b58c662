package appliancetest

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports that tests may listen on: below those that systems give to outgoing
// connections (32768 and up on Linux, 49152 elsewhere), of which one could take
// the port in the moment between the choice and the listening.
const (
	firstFreePort = 20_000
	lastFreePort  = 32_000
)

// FreeAddress is an address of loopback that nobody listens on, "127.0.0.1:12345".
func FreeAddress() (string, error) {
	var last error
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", firstFreePort+rand.IntN(lastFreePort-firstFreePort)) //nolint:gosec // it is no secret
		l, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		return address, l.Close()
	}
	return "", fmt.Errorf("no port is free: %w", last)
}
