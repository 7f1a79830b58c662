package smtpconn

import (
	"errors"
	"os"
	"time"
)

// An idler watches a connection that nobody uses. It reads: whatever comes,
// be it 421 or the end of the connection, means that it is of no use any more.
//
//	wake      by a delivery that took it: hands it over, or says it is broken
//	wake      by Stop, or idle for too long: QUIT
//	anything else: close
type idler struct {
	c     *conn
	taken bool // by a delivery; guarded by Pool.mu
	done  chan struct{}
}

// arm sets when watch ends by itself.
func (i *idler) arm(d time.Duration) { _ = i.c.nc.SetReadDeadline(time.Now().Add(d)) }

// wake ends watch at once.
func (i *idler) wake() { _ = i.c.nc.SetReadDeadline(time.Unix(1, 0)) }

func (i *idler) watch() {
	defer close(i.done)
	_, err := i.c.r.Peek(1)
	alive := errors.Is(err, os.ErrDeadlineExceeded)

	p := i.c.pool
	p.mu.Lock()
	taken := i.taken
	p.remove(i)
	p.mu.Unlock()
	switch {
	case !alive:
		i.c.close()
	case !taken:
		i.c.quit(p.life)
	}
}
