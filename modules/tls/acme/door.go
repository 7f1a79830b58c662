package acme

import (
	"fmt"
	"net"
	"sync"
)

// maxVisitors is how many connections a door takes at a time; a [lobby] says
// who has to go. An authority comes with a handful, from several places at once.
const maxVisitors = 64

// A door is an address that is listened on while at least one attempt needs
// it. It is one for all attempts of an instance, since whoever accepts a
// connection must be able to answer for any name; so it closes when the last
// attempt has ended.
type door struct {
	address string
	listen  func(address string) (net.Listener, error)
	serve   func(net.Listener) (stop func())

	mu    sync.Mutex
	users int
	stop  func()
}

// A closedDoor is a door that cannot be opened.
type closedDoor struct {
	challenge, address string
	err                error
}

func (e *closedDoor) Error() string {
	return fmt.Sprintf("%s: cannot listen on %s: %v", e.challenge, e.address, e.err)
}

func (e *closedDoor) Unwrap() error { return e.err }

// open listens, if nobody does yet. Who has opened a door closes it.
func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users == 0 {
		l, err := d.listen(d.address)
		if err != nil {
			return err
		}
		d.stop = d.serve(&lobby{Listener: l})
	}
	d.users++
	return nil
}

// close returns when nothing of the door is left, if it was the last one's.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users--; d.users == 0 {
		d.stop()
	}
}
