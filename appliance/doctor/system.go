package doctor

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// localAddresses are the addresses of this machine.
func localAddresses() (all []netip.Addr, err error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				all = append(all, ip.Unmap())
			}
		}
	}
	return all, nil
}

// freeSpace is what who is not root may still write below a directory.
func freeSpace(directory string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(directory, &s); err != nil {
		return 0, err
	}
	if s.Bsize <= 0 {
		return 0, errors.New("the file system does not say")
	}
	return octets(s.Bavail) * octets(s.Bsize), nil
}

func openFiles() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return octets(limit.Cur), err
}

// octets is a number as systems have it, which differ in its type.
func octets[T int64 | uint64 | uint32](n T) uint64 { return uint64(n) }
