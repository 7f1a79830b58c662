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

// heapGrowth is by how much, in percent, Go's heap may grow between two
// collections. Most of it is tables of the queue, in which there are no
// pointers to follow: to collect twice as often as Go would is cheap here, and
// a server that shares its machine has better use for the memory.
const heapGrowth = 50

// boundHeap sets the pace of the garbage collector, unless GOGC does.
func boundHeap() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(heapGrowth)
	}
}

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
