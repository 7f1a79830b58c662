package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A BanPage lists who is banned, and which accounts are under attack.
type BanPage struct {
	Bans []appliance.Ban `json:"bans"`
}

// A ClearRequest asks that what is held against a network or an account is
// forgotten.
type ClearRequest struct {
	Name string `json:"name,omitempty"` // an address, a network or a user name
	All  bool   `json:"all,omitempty"`  // in place of a name
}

// Cleared says how many of the listed there were.
type Cleared struct {
	Cleared int `json:"cleared"`
}

// guard is what knows of bans.
func (s *Server) guard() (appliance.LoginGuard, error) {
	g := s.opts.Appliance.Logins()
	if g == nil {
		return nil, &Error{Status: http.StatusNotImplemented, Message: "this server bans nobody"}
	}
	return g, nil
}

func (s *Server) bans(w http.ResponseWriter, _ *http.Request) error {
	g, err := s.guard()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, BanPage{append([]appliance.Ban{}, g.Bans()...)}) // [] in JSON, and not null
	return nil
}

func (s *Server) clearBans(w http.ResponseWriter, r *http.Request) error {
	var want ClearRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	want.Name = strings.TrimSpace(want.Name)
	if want.All == (want.Name != "") {
		return badRequest("write either the name of a network or an account, or all")
	}
	g, err := s.guard()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, Cleared{g.Clear(want.Name)})
	return nil
}

// Bans lists who is banned.
func (c *Client) Bans(ctx context.Context) (page BanPage, err error) {
	return page, c.get(ctx, "/v1/bans", nil, &page)
}

// ClearBans forgets what is held against somebody.
func (c *Client) ClearBans(ctx context.Context, want ClearRequest) (done Cleared, err error) {
	return done, c.post(ctx, "/v1/bans/clear", want, &done)
}
