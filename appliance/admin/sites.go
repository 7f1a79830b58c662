package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxSuspend is the longest time for which mail can be suspended: it waits in
// the queue meanwhile, and does not grow too old.
const maxSuspend = 365 * 24 * time.Hour

// SitePage lists what the queue knows of the servers that mail goes to.
type SitePage struct {
	Sites []appliance.SiteState `json:"sites"`
}

// SuspensionPage lists what a person has suspended.
type SuspensionPage struct {
	Suspensions []appliance.Suspension `json:"suspensions"`
	// What is said of a suspension that was asked for just now: mail for the
	// same domain that does not wait.
	Notes []string `json:"notes,omitempty"`
}

// SuspendRequest asks that mail waits.
type SuspendRequest struct {
	Name   string `json:"name"`             // a destination or a site, or its part after the slash
	For    string `json:"for,omitempty"`    // a duration, as "2h"; "" is until it is resumed
	Reason string `json:"reason,omitempty"` // for people
}

// ResumeRequest ends a suspension.
type ResumeRequest struct {
	Name string `json:"name"`
}

// keeper is the engine, if it knows of sites.
func (s *Server) keeper() (appliance.SiteKeeper, error) {
	k, ok := s.opts.Appliance.Engine().(appliance.SiteKeeper)
	if !ok {
		return nil, &Error{Status: http.StatusNotImplemented, Message: "the queue of this server knows no sites"}
	}
	return k, nil
}

func (s *Server) sites(w http.ResponseWriter, _ *http.Request) error {
	k, err := s.keeper()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, SitePage{k.Sites()})
	return nil
}

func (s *Server) suspensions(w http.ResponseWriter, _ *http.Request) error {
	k, err := s.keeper()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, suspensionPage(k))
	return nil
}

func suspensionPage(k appliance.SiteKeeper) SuspensionPage {
	return SuspensionPage{Suspensions: append([]appliance.Suspension{}, k.Suspensions()...)} // [] in JSON, and not null
}

func (s *Server) suspend(w http.ResponseWriter, r *http.Request) error {
	var want SuspendRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	k, err := s.keeper()
	if err != nil {
		return err
	}
	x := appliance.Suspension{Name: suspendedName(want.Name), Reason: want.Reason}
	if want.For != "" {
		d, err := appliance.ParseDuration(want.For)
		if err != nil || d <= 0 || d > maxSuspend {
			return badRequest("for is %q; write a duration of at most %s, such as 30m, 2h or 1d", want.For, appliance.FormatDuration(maxSuspend))
		}
		x.Until = time.Now().Add(d)
	}
	if err := x.Check(time.Now()); err != nil {
		return badRequest("%v", err)
	}
	notes, err := s.meant(k, x.Name)
	if err != nil {
		return err
	}
	if err := k.Suspend(r.Context(), x); err != nil {
		return err
	}
	page := suspensionPage(k)
	page.Notes = notes
	writeJSON(w, http.StatusOK, page)
	return nil
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	var want ResumeRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	k, err := s.keeper()
	if err != nil {
		return err
	}
	found, err := k.Resume(r.Context(), suspendedName(want.Name))
	if err != nil {
		return err
	}
	if !found {
		return &Error{Status: http.StatusNotFound, Message: "nothing is suspended by this name, or several are; waxwing queue suspend lists them"}
	}
	writeJSON(w, http.StatusOK, suspensionPage(k))
	return nil
}

// Sites lists the sites that have mail.
func (c *Client) Sites(ctx context.Context) (page SitePage, err error) {
	return page, c.get(ctx, "/v1/queue/sites", nil, &page)
}

// Suspensions lists what is suspended.
func (c *Client) Suspensions(ctx context.Context) (page SuspensionPage, err error) {
	return page, c.get(ctx, "/v1/queue/suspensions", nil, &page)
}

// Suspend lets mail wait.
func (c *Client) Suspend(ctx context.Context, want SuspendRequest) (page SuspensionPage, err error) {
	return page, c.post(ctx, "/v1/queue/suspend", want, &page)
}

// Resume ends a suspension.
func (c *Client) Resume(ctx context.Context, name string) (page SuspensionPage, err error) {
	return page, c.post(ctx, "/v1/queue/resume", ResumeRequest{name}, &page)
}
