package disk

import (
	"errors"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// isScarce says that the process, or the machine, has no file descriptor left.
func isScarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// patiently opens a file of the queue. Connections come and go, and whoever
// opens enough of them leaves no file descriptor: that is nothing the disk has
// done, and no reason to fail. The queue waits until there is one, and who
// commits waits with it.
func (q *queueFS) patiently(name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	for first := true; ; first = false {
		if f, err = open(); !isScarce(err) || !q.opened.Load() || q.health.ending() {
			return f, err
		}
		if first {
			q.health.log.Warn("no file descriptor is left; the queue waits for one. "+
				"Raise the limit of open files, or lower limits.max_connections", zap.String("file", name))
		}
		q.health.pause()
	}
}

// Open implements vfs.FS.
func (q *queueFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return q.patiently(name, func() (vfs.File, error) { return q.guard.Open(name, opts...) })
}
