package cmd

import (
	"io/fs"
	"os"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/memlimit"
)

// memoryShare is the part of a container's memory, in percent, that Go's heap
// is kept below. The rest is for stacks and for what the kernel counts as ours.
const memoryShare = 90

// knowMemory returns what the process may use, and has Go's garbage collector
// work harder before the kernel ends a process that exceeds the limit of its
// container. GOMEMLIMIT, if it is set, says how hard; also "off".
func knowMemory(root fs.FS, log *zap.Logger) appliance.Size {
	container := memlimit.Container(root)
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set && container > 0 {
		debug.SetMemoryLimit(container / 100 * memoryShare)
		log.Debug("memory is limited by the container", zap.Stringer("limit", appliance.Size(container)))
	}
	return appliance.Size(memlimit.Available(root))
}
