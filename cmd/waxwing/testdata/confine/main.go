//go:build linux

// Command confine runs a program under a filter of system calls, as systemd's
// SystemCallFilter and RestrictAddressFamilies do. What is not allowed kills the
// program, so that a test sees it.
//
//	confine -calls 0,1,3,… -socket 41 -families 1,2,10,16 program argument…
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	calls := flag.String("calls", "", "numbers of the system calls that are allowed")
	socket := flag.Uint("socket", 0, "the number of socket(2)")
	families := flag.String("families", "", "the address families that it may have")
	flag.Parse()
	if err := confine(numbers(*calls), uint32(*socket), numbers(*families)); err != nil {
		fail(err)
	}
	fail(unix.Exec(flag.Arg(0), flag.Args(), os.Environ()))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "confine:", err)
	os.Exit(70)
}

func numbers(list string) (all []uint32) {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			fail(err)
		}
		all = append(all, uint32(n))
	}
	return all
}

// Offsets in struct seccomp_data: the number, and the lower half of the first
// argument on a little-endian machine.
const (
	offNumber = 0
	offFirst  = 16
)

func confine(calls []uint32, socket uint32, families []uint32) error {
	prog := []unix.SockFilter{load(offNumber)}
	for _, n := range calls {
		if n != socket {
			prog = append(prog, allow(n)...)
		}
	}
	// Anything but socket(2) is over now.
	prog = append(prog, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: socket}, ret(unix.SECCOMP_RET_KILL_PROCESS), load(offFirst))
	for _, f := range families {
		prog = append(prog, allow(f)...)
	}
	prog = append(prog, ret(unix.SECCOMP_RET_KILL_PROCESS))
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	f := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&f)), 0, 0)
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// allow ends with yes if the loaded value is n.
func allow(n uint32) []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: n}, ret(unix.SECCOMP_RET_ALLOW)}
}
