package compare

import (
	"os/exec"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// A work is one thing that every peer does, and a table of the report.
type work struct {
	title   string
	note    string // what it is, for who reads the table
	columns []column
	run     func(s *site) ([]float64, error) // a value for each column
}

// A column is one of the figures of a work. Ratios are printed of the first,
// and of those that say so.
type column struct {
	name   string
	digits int
	less   bool // is better
	ratio  bool
}

// A stage is the works that are done to the same running server, one after
// the other. The next peer follows with the same stage, and so on in turn.
type stage struct {
	only string // what -only calls it
	siteOptions
	once   bool // in the first round alone: what it shows does not depend on the speed of the machine
	direct bool // load generator and sink are measured alone, too
	own    bool // of Waxwing only
	works  []*work
}

// warmUp is what a server does before it is measured, so that it has started
// what it starts when it is needed, and read and compiled what it does once: a
// process for each client, or the code that is run most.
var warmUp = traffic{clients: manyClients, messages: 500, size: smallSize, limit: 4 * time.Second}

// stages are everything that is measured, in the order of the report.
func stages(fill Fill, scale float64) []stage {
	var list []stage
	for _, sign := range []bool{true, false} {
		for _, login := range []bool{false, true} {
			list = append(list, rateStage(sign, login))
		}
	}
	return append(list, latencyStage(), memoryStage(scale), flushStage(true), flushStage(false), idleStage(), queueStage(scale), millionStage(fill, scale))
}

// skips says why a peer takes no part in a stage, "" if it does.
func (st *stage) skips(p peers.Peer) string {
	needs := peers.NeedsOf(p)
	switch {
	case st.only == "rate" && !st.login && needs.Login:
		return "takes no mail without STARTTLS and AUTH"
	case st.own && !isOwn(p):
		return "is not measured"
	case st.trace && !canTrace():
		return "was not measured: strace is not installed"
	}
	return ""
}

func canTrace() bool {
	_, err := exec.LookPath("strace")
	return err == nil
}

// isOwn says whether a peer is a build of Waxwing.
func isOwn(p peers.Peer) bool { return strings.HasPrefix(p.Name(), "waxwing") }
