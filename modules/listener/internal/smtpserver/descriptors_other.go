//go:build !unix

package smtpserver

import "net"

// Where sockets are not numbered like files, they do not run out like them.
func descriptorCeiling() int { return 0 }

func beyond(net.Conn, int) bool { return false }
