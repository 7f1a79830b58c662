package admin

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// heartbeat is how often an idle live view is written to, so that a client
// that has gone is noticed.
const heartbeat = 15 * time.Second

// lines writes a value a line, each at once.
type lines struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newLines(w http.ResponseWriter) lines {
	w.Header().Set("Content-Type", typeLines)
	return lines{w, http.NewResponseController(w)}
}

func (l lines) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.raw(append(b, '\n'))
}

func (l lines) raw(b []byte) error {
	setWriteDeadline(l.w, writeTimeout)
	if _, err := l.w.Write(b); err != nil {
		return err
	}
	return l.c.Flush()
}

func tooManyReaders() error {
	return &Error{Status: http.StatusServiceUnavailable, Message: "too many programs watch already: end one of them"}
}

// events is the live view: a line for each event until the client leaves, is
// too slow, or the server stops.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	reader, ok := s.opts.Events.watch(appliance.QueueID(r.URL.Query().Get("id")))
	if !ok {
		return tooManyReaders()
	}
	defer s.opts.Events.leave(reader)
	out := newLines(w)
	if err := out.raw([]byte("\n")); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	s.stream(r, out, reader, func(appliance.Event) bool { return true })
	return nil
}

// stream writes events until more says that the last has been written.
func (s *Server) stream(r *http.Request, out lines, from *reader, more func(appliance.Event) bool) {
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		var err error
		select {
		case e, ok := <-from.events:
			if !ok {
				_ = out.write(Error{Message: "this reader was too slow: events are missing from here on"})
				return
			}
			if err = out.write(wireEvent(e)); !more(e) {
				return
			}
		case <-alive.C:
			err = out.raw([]byte("\n"))
		case <-s.draining:
			return
		case <-r.Context().Done():
			return
		}
		if err != nil {
			return // the client has gone
		}
	}
}
