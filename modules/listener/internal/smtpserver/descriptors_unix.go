//go:build unix

package smtpserver

import (
	"net"
	"syscall"
)

// descriptorCeiling is the first file descriptor that no client may have; 0 is
// none known.
func descriptorCeiling() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return ceilingBelow(limit.Cur)
}

// beyond says whether the file descriptor of c is at or above ceiling. The
// system gives out the lowest that is free, so all below it are in use.
func beyond(c net.Conn, ceiling int) bool {
	sc, ok := c.(syscall.Conn)
	if !ok || ceiling == 0 {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	number := 0
	err = rc.Control(func(fd uintptr) { number = int(fd) })
	return err == nil && number >= ceiling
}
