package admin

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a listing, in messages.
const (
	defaultPage = 1000
	maxPage     = 10_000
	maxIDs      = 1000
)

func (s *Server) queue(w http.ResponseWriter, r *http.Request) error {
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return err
	}
	page, err := s.list(r.Context(), f)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

func (s *Server) list(ctx context.Context, f Filter) (QueuePage, error) {
	page := QueuePage{Messages: []QueuedMessage{}}
	limit := f.Limit
	f.Limit++ // one more tells whether there are more
	for e, err := range s.opts.Appliance.Store().Query(ctx, f.core()) {
		if err != nil {
			return page, err
		}
		if len(page.Messages) == limit {
			page.More = true
			break
		}
		page.Messages = append(page.Messages, wireMessage(e))
	}
	return page, nil
}

func (s *Server) queued(w http.ResponseWriter, r *http.Request) error {
	id := appliance.QueueID(r.PathValue("id"))
	page, err := s.list(r.Context(), Filter{IDs: []appliance.QueueID{id}, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Messages) == 0 {
		return &Error{Status: http.StatusNotFound, Message: "no message with this id is in the queue: it may have been delivered already"}
	}
	writeJSON(w, http.StatusOK, page.Messages[0])
	return nil
}

// filterOf reads a filter from a query.
func filterOf(q url.Values) (Filter, error) {
	f := Filter{
		Sender: q.Get("sender"), Recipient: q.Get("recipient"), Destination: q.Get("destination"),
		Limit: defaultPage,
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains([]string{"id", "sender", "recipient", "destination", "held", "limit"}, name) {
			return f, badRequest("there is no filter %q; use id, sender, recipient, destination, held or limit", name)
		}
	}
	for _, id := range q["id"] {
		f.IDs = append(f.IDs, appliance.QueueID(id))
	}
	if text := q.Get("held"); text != "" {
		held, err := strconv.ParseBool(text)
		if err != nil {
			return f, badRequest("held is %q; write true or false", text)
		}
		f.Held = &held
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return f, badRequest("limit is %q; write a number from 1 to %d", text, maxPage)
		}
		f.Limit = n
	}
	return f, checkFilter(f)
}

// query writes a filter as filterOf reads it.
func (f Filter) query() url.Values {
	q := make(url.Values)
	for _, id := range f.IDs {
		q.Add("id", string(id))
	}
	for name, value := range map[string]string{"sender": f.Sender, "recipient": f.Recipient, "destination": f.Destination} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Held != nil {
		q.Set("held", strconv.FormatBool(*f.Held))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

func checkFilter(f Filter) error {
	if len(f.IDs) > maxIDs {
		return badRequest("%d ids; at most %d can be named at a time", len(f.IDs), maxIDs)
	}
	return nil
}

func (s *Server) change(w http.ResponseWriter, r *http.Request) error {
	var want ChangeRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	c, final, ok := changeNamed(want.Change)
	switch {
	case !ok:
		return badRequest("there is no change %q; use retry, hold, release, drop or bounce", want.Change)
	case final && want.Filter.IsZero() && !want.All:
		return badRequest(`%s without a filter concerns the whole queue: say so with "all": true`, want.Change)
	}
	if err := checkFilter(want.Filter); err != nil {
		return err
	}
	want.Filter.Limit = 0
	n, err := s.opts.Appliance.Engine().Change(r.Context(), want.Filter.core(), c)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, Changed{n})
	return nil
}
