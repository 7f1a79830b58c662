package admin

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A KeyPage lists the keys of the signers, and what each waits for.
type KeyPage struct {
	Keys []appliance.KeptKey `json:"keys"`
}

// A RotateRequest asks for new keys.
type RotateRequest struct {
	Domains []string `json:"domains,omitempty"` // none is all whose keys the server has made
	// Now has them sign at once, wherever their records are: until these are
	// published, receivers cannot verify what is signed.
	Now bool `json:"now,omitempty"`
}

// A RetireRequest gives up a key that does not sign.
type RetireRequest struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
}

// maxDomains bounds the domains of one request.
const maxDomains = 1000

func (s *Server) keys(w http.ResponseWriter, _ *http.Request) error {
	writeKeys(w, s.opts.Appliance.SigningKeys())
	return nil
}

func writeKeys(w http.ResponseWriter, keys []appliance.KeptKey) {
	writeJSON(w, http.StatusOK, KeyPage{append([]appliance.KeptKey{}, keys...)}) // [] in JSON, and not null
}

func (s *Server) rotateKeys(w http.ResponseWriter, r *http.Request) error {
	var want RotateRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	if len(want.Domains) > maxDomains {
		return badRequest("name at most 1000 domains at once")
	}
	when := appliance.RotateWhenShown
	if want.Now {
		when = appliance.RotateNow
	}
	return s.moveKeys(w, r, "not all keys were rotated; what has been begun goes on", func(ctx context.Context) ([]appliance.KeptKey, error) {
		return s.opts.Appliance.RotateKeys(ctx, want.Domains, when)
	})
}

func (s *Server) retireKey(w http.ResponseWriter, r *http.Request) error {
	var want RetireRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	if want.Domain == "" || want.Selector == "" {
		return badRequest("domain and selector are needed; GET /v1/dkim lists both")
	}
	return s.moveKeys(w, r, "the key may not have been retired", func(ctx context.Context) ([]appliance.KeptKey, error) {
		return s.opts.Appliance.RetireKey(ctx, want.Domain, want.Selector)
	})
}

// moveKeys does something that name servers are asked for, and answers with
// the keys that it is about.
func (s *Server) moveKeys(w http.ResponseWriter, r *http.Request, failure string, do func(context.Context) ([]appliance.KeptKey, error)) error {
	ctx, cancel := s.untilDrain(r.Context())
	defer cancel()
	keys, err := do(ctx)
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	switch {
	case err == nil:
		writeKeys(w, keys)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Status: http.StatusNotFound, Message: err.Error()}
	case errors.Is(err, errors.ErrUnsupported):
		return &Error{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	}
	return &Error{Status: http.StatusServiceUnavailable, Message: failure, Reasons: strings.Split(err.Error(), "\n")}
}

// Keys lists the keys of the signers.
func (c *Client) Keys(ctx context.Context) (page KeyPage, err error) {
	return page, c.get(ctx, "/v1/dkim", nil, &page)
}

// RotateKeys begins to replace keys, and returns those of the domains.
func (c *Client) RotateKeys(ctx context.Context, want RotateRequest) (page KeyPage, err error) {
	return page, c.post(ctx, "/v1/dkim/rotate", want, &page)
}

// RetireKey gives up a key, and returns what is left of it.
func (c *Client) RetireKey(ctx context.Context, want RetireRequest) (page KeyPage, err error) {
	return page, c.post(ctx, "/v1/dkim/retire", want, &page)
}
