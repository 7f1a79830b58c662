package disk

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestR10_Ownership: whose data directory is used, and what is said about the
// others.
func TestR10_Ownership(t *testing.T) {
	const us = 10001
	for _, tt := range []struct {
		name   string
		o      ownership
		volume bool
		refuse string // "" is used
	}{
		{"ours", ownership{mode: 0o700, owner: us, us: us, writable: true}, false, ""},
		{"ours, read by a group", ownership{mode: 0o750, owner: us, us: us, writable: true}, false, ""},
		{"ours, open to all", ownership{mode: 0o777, owner: us, us: us, writable: true}, false, "chmod o-w /data"},
		{"somebody's", ownership{mode: 0o777, owner: 1000, us: us, writable: true, mount: true}, false, "run chown 10001 /data"},
		{"root's", ownership{mode: 0o755, owner: 0, us: us}, false, "run chown 10001 /data"},
		{"root's, read-only volume", ownership{mode: 0o755, owner: 0, us: us, mount: true}, false, "run chown 10001 /data"},
		{"a volume with fsGroup", ownership{mode: 0o2775, owner: 0, us: us, writable: true, mount: true}, true, ""},
		{"a directory with our group", ownership{mode: 0o2770, owner: 0, us: us, writable: true}, true, ""},
		{"an emptyDir", ownership{mode: 0o777, owner: 0, us: us, writable: true, mount: true}, true, ""},
		{"/tmp by accident", ownership{mode: 0o777, owner: 0, us: us, writable: true}, false, "belongs to user 0"},
		{"root in a directory open to all", ownership{mode: 0o777, owner: 0, us: 0, writable: true, mount: true}, false, "chmod o-w /data"},
	} {
		if got := tt.o.volume(); got != tt.volume {
			t.Errorf("%s: volume is %v", tt.name, got)
		}
		if tt.volume {
			continue
		}
		err := tt.o.refuse("/data")
		if (err == nil) != (tt.refuse == "") || err != nil && !strings.Contains(err.Error(), tt.refuse) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.refuse)
		}
	}
}

// TestR10_Advice: what to do about a directory that cannot be used.
func TestR10_Advice(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{syscall.EROFS, "mount a volume there"},
		{syscall.EACCES, "run install -d -m 0700 -o"},
		{io.ErrUnexpectedEOF, "unexpected EOF"},
	} {
		got := advise("/data", &os.PathError{Op: "open", Path: "/data/lock", Err: tt.err})
		if !strings.Contains(got.Error(), tt.want) {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
	if err := advise("/data", syscall.EROFS); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v hides what happened", err)
	}
}
