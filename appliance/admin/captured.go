package admin

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

// capturer is a relay that captures, and its name.
type capturer struct {
	appliance.Capturer
	name string
}

func (s *Server) capturers() ([]capturer, error) {
	var all []capturer
	for _, n := range s.opts.Appliance.Graph().Nodes {
		if c, ok := n.Module.(appliance.Capturer); ok {
			all = append(all, capturer{c, n.Addr.Name})
		}
	}
	if len(all) == 0 {
		return nil, &Error{Status: http.StatusNotFound, Message: `no relay of the configuration captures messages: set mode = "capture", or use a relay "capture"`}
	}
	return all, nil
}

func (s *Server) captured(w http.ResponseWriter, r *http.Request) error {
	page, err := s.allCaptured(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

func (s *Server) allCaptured(ctx context.Context) (CapturedPage, error) {
	page := CapturedPage{Messages: []CapturedMessage{}}
	all, err := s.capturers()
	if err != nil {
		return page, err
	}
	for _, c := range all {
		list, err := c.Captured(ctx)
		if err != nil {
			return page, err
		}
		for _, m := range list {
			page.Messages = append(page.Messages, CapturedMessage{c.name, m})
		}
	}
	slices.SortStableFunc(page.Messages, func(a, b CapturedMessage) int { return b.Time.Compare(a.Time) })
	return page, nil
}

func (s *Server) openCaptured(w http.ResponseWriter, r *http.Request) error {
	all, err := s.capturers()
	if err != nil {
		return err
	}
	for _, c := range all {
		body, err := c.Open(r.Context(), r.PathValue("id"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer body.Close()
		setWriteDeadline(w, messageTimeout)
		w.Header().Set("Content-Type", typeMessage)
		_, _ = io.Copy(w, body) // the client has gone: nobody to tell
		return nil
	}
	return &Error{Status: http.StatusNotFound, Message: "no captured message has this id"}
}
