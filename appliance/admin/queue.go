package admin

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
	page, err := s.list(r.Context(), f.core(time.Now()))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

func (s *Server) list(ctx context.Context, f appliance.Filter) (QueuePage, error) {
	page := QueuePage{Messages: []QueuedMessage{}}
	lifetime := s.opts.Appliance.Graph().Settings.Queue.Lifetime
	limit := f.Limit
	f.Limit++ // one more tells whether there are more
	for e, err := range s.opts.Appliance.Store().Query(ctx, f) {
		if err != nil {
			return page, err
		}
		if len(page.Messages) == limit {
			page.More = true
			break
		}
		page.Messages = append(page.Messages, wireMessage(e, lifetime))
	}
	return page, nil
}

func (s *Server) queued(w http.ResponseWriter, r *http.Request) error {
	id := appliance.QueueID(r.PathValue("id"))
	page, err := s.list(r.Context(), appliance.Filter{IDs: []appliance.QueueID{id}, Limit: 1, Attempts: true})
	if err != nil {
		return err
	}
	if len(page.Messages) == 0 {
		return &Error{Status: http.StatusNotFound, Message: "no message with this id is in the queue: it may have been delivered already"}
	}
	writeJSON(w, http.StatusOK, page.Messages[0])
	return nil
}

var filterNames = []string{"id", "sender", "recipient", "destination", "held", "older", "class", "limit"}

// filterOf reads a filter from a query.
func filterOf(q url.Values) (Filter, error) {
	f := Filter{
		Sender: q.Get("sender"), Recipient: q.Get("recipient"), Destination: q.Get("destination"),
		Older: q.Get("older"), Class: appliance.Class(q.Get("class")), Limit: defaultPage,
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(filterNames, name) {
			return f, badRequest("there is no filter %q; use %s", name, strings.Join(filterNames, ", "))
		}
		if slices.Contains(q[name], "") {
			return f, badRequest("%s is empty: leave it out to select by something else", name)
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
	for name, value := range map[string]string{
		"sender": f.Sender, "recipient": f.Recipient, "destination": f.Destination, "older": f.Older, "class": string(f.Class),
	} {
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
	f := want.Filter.core(time.Now())
	if want.DryRun {
		done, err := s.wouldChange(r.Context(), f, c)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, done)
		return nil
	}
	n, err := s.opts.Appliance.Engine().Change(r.Context(), f, c)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, Changed{Deliveries: n})
	return nil
}

// wouldChange counts what a change would change at this moment.
func (s *Server) wouldChange(ctx context.Context, f appliance.Filter, c appliance.Change) (Changed, error) {
	done := Changed{DryRun: true}
	for e, err := range s.opts.Appliance.Store().Query(ctx, f) {
		if err != nil {
			return done, err
		}
		before := done.Deliveries
		for i := range e.Deliveries {
			d := &e.Deliveries[i]
			switch {
			case !c.Concerns(&d.Delivery):
			case d.Leased:
				done.Busy++
			default:
				done.Deliveries++
				done.Recipients += waiting(&d.Delivery)
			}
		}
		if done.Deliveries > before {
			done.Messages++
		}
	}
	return done, nil
}

// waiting counts the recipients that wait.
func waiting(d *appliance.Delivery) (n int) {
	for i := range d.Recipients {
		if d.Recipients[i].Status == appliance.Waiting {
			n++
		}
	}
	return n
}
