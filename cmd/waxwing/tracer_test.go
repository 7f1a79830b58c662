package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tracer follows every thread of a process with ptrace(2) and kills it when
// it is about to make its n-th system call that changes something outside: a
// file, a socket. Between two of these no kill can be told from another.
type tracer struct {
	pid, n int
	known  map[int]bool // threads
	calls  int
}

// changing are the system calls that are counted.
var changing = map[uint64]string{
	unix.SYS_ACCEPT4: "accept4", unix.SYS_CLOSE: "close", unix.SYS_CONNECT: "connect", unix.SYS_FALLOCATE: "fallocate",
	unix.SYS_FCHMOD: "fchmod", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FSYNC: "fsync", unix.SYS_FTRUNCATE: "ftruncate",
	unix.SYS_LINKAT: "linkat", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_OPENAT: "openat", unix.SYS_PWRITE64: "pwrite64",
	unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_SENDMSG: "sendmsg", unix.SYS_SENDTO: "sendto",
	unix.SYS_SHUTDOWN: "shutdown", unix.SYS_SYNC_FILE_RANGE: "sync_file_range", unix.SYS_UNLINKAT: "unlinkat",
	unix.SYS_WRITE: "write", unix.SYS_WRITEV: "writev",
}

// A fatalCall is where a process was killed: name is "" if it ended otherwise
// before, after so many calls.
type fatalCall struct {
	name  string
	calls int
	err   error
}

// killAt attaches to a process. When it returns, the process is traced; the
// channel says how that ended, after the process has.
func killAt(pid, n int) (<-chan fatalCall, error) {
	attached, ended := make(chan error), make(chan fatalCall, 1)
	go func() {
		runtime.LockOSThread() // one thread is the tracer
		t := &tracer{pid: pid, n: n, known: make(map[int]bool)}
		err := t.attach()
		attached <- err
		if err == nil {
			ended <- t.follow()
		}
	}()
	return ended, <-attached
}

// attach seizes the threads that there are; those that come are seized as
// they are made.
func (t *tracer) attach() error {
	for found := true; found; {
		found = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", t.pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || t.known[tid] {
				continue
			}
			found = true
			if err := t.seize(tid); err != nil {
				return fmt.Errorf("ptrace of thread %d: %w", tid, err)
			}
		}
	}
	return nil
}

func (t *tracer) seize(tid int) error {
	if err := unix.PtraceSeize(tid); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	} else if err != nil && len(t.known) == 0 {
		return err // EPERM of a later one: it was seized as it was made
	}
	if err := unix.PtraceInterrupt(tid); err != nil {
		return err
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(tid, &ws, unix.WALL|unix.WNOTHREAD, nil); err != nil {
		return err
	}
	return t.resume(tid, 0)
}

// resume lets a thread run until its next system call begins or ends.
func (t *tracer) resume(tid, signal int) error {
	if !t.known[tid] {
		t.known[tid] = true
		if err := unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE); err != nil {
			return err
		}
	}
	return unix.PtraceSyscall(tid, signal)
}

// follow returns when the process has ended, killed by it or otherwise, and
// every thread has been waited for.
func (t *tracer) follow() (at fatalCall) {
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fatalCall{calls: t.calls, err: err}
		case !ws.Stopped():
			if tid == t.pid { // the last: it is not reported before the others are
				at.calls = t.calls
				return at
			}
			continue
		}
		if name := t.entered(tid, ws); name != "" {
			if t.calls++; t.calls == t.n {
				at = fatalCall{name: name, err: unix.Kill(t.pid, unix.SIGKILL)}
				continue
			}
		}
		if err := t.resume(tid, passOn(ws)); err != nil && !errors.Is(err, unix.ESRCH) {
			return fatalCall{calls: t.calls, err: err}
		}
	}
}

// syscallStop is the signal of a stop at a system call, as PTRACE_O_TRACESYSGOOD
// makes it.
const syscallStop = syscall.SIGTRAP | 0x80

// passOn is the signal that the thread was stopped for, if it is one of its own.
func passOn(ws unix.WaitStatus) int {
	if s := ws.StopSignal(); s != syscallStop && ws>>16 == 0 {
		return int(s)
	}
	return 0
}

// entered names the system call that a thread is about to make, "" if it is
// not one that counts.
func (t *tracer) entered(tid int, ws unix.WaitStatus) string {
	if ws.StopSignal() != syscallStop {
		return ""
	}
	var info struct { // struct ptrace_syscall_info of linux/ptrace.h
		op   uint8
		_    [3]uint8
		arch uint32
		ip   uint64
		sp   uint64
		nr   uint64
		args [6]uint64
		_    uint64
	}
	const entry = 1 // PTRACE_SYSCALL_INFO_ENTRY
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || info.op != entry {
		return ""
	}
	return changing[info.nr]
}
