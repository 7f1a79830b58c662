package admin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Address is where the server of these settings is reached: as configured, or
// admin.sock in the data directory.
func Address(s appliance.Settings) string {
	if s.Admin.Address != "" {
		return s.Admin.Address
	}
	return "unix:" + filepath.Join(s.DataDir, "admin.sock")
}

// patience is how long to wait for a predecessor that is on its way out.
const patience = 5 * time.Second

// Listen opens the listening socket of an admin address, as
// [appliance.Sockets.Listen] does. The directory of a unix socket is made if
// need be, with mode 0700, and a predecessor may still be on its way out.
func Listen(address string) (net.Listener, error) {
	var own appliance.Sockets
	network, path := appliance.SplitNetwork(address)
	if network != "unix" {
		return own.Listen(address)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		l, err := own.Listen(address)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return l, err
		}
	}
}

// isUnix says whether l is a unix socket.
func isUnix(l net.Listener) bool { return l.Addr().Network() == "unix" }
