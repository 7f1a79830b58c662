package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// How long the DNS may be asked, and written to.
const (
	checkTime   = 2 * time.Minute
	publishTime = 5 * time.Minute
)

// A RecordsRequest asks about the DNS records of some domains and hosts.
type RecordsRequest struct {
	Domains []string `json:"domains,omitempty"` // none is all
}

// A PublishRequest has records written.
type PublishRequest struct {
	RecordsRequest
	Through string `json:"through,omitempty"` // the dns block, as "dns.zone"; "" is that of the configuration
	DryRun  bool   `json:"dry_run,omitempty"` // only say what would be done
	// What somebody has agreed to: the changes that a dry run said. If it is
	// something else by now, nothing is done.
	Agreed []records.Change `json:"agreed,omitempty"`
}

// desk answers for the configuration that runs.
func (s *Server) desk() *records.Desk {
	a := s.opts.Appliance
	return &records.Desk{
		Graph: a.Graph(), Resolver: a.Resolver(),
		Options: records.Options{Machine: records.MachineAddresses(), Started: true},
	}
}

func (s *Server) wantedRecords(w http.ResponseWriter, r *http.Request) error {
	list, err := s.desk().Wanted(r.URL.Query()["domain"])
	if err != nil {
		return recordsError(err)
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *Server) checkRecords(w http.ResponseWriter, r *http.Request) error {
	var want RecordsRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	ctx, cancel := s.atMost(r.Context(), checkTime)
	defer cancel()
	c, err := s.desk().Check(ctx, want.Domains)
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	if err != nil {
		return recordsError(err)
	}
	writeJSON(w, http.StatusOK, c)
	return nil
}

func (s *Server) publishRecords(w http.ResponseWriter, r *http.Request) error {
	var want PublishRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	ctx, cancel := s.atMost(r.Context(), publishTime)
	defer cancel()
	do := func() (records.Publication, error) {
		return s.desk().Publish(ctx, want.Domains, want.Through, want.Agreed)
	}
	if want.DryRun {
		do = func() (records.Publication, error) { return s.desk().Plan(ctx, want.Domains, want.Through) }
	}
	done, err := do()
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	if err != nil {
		return recordsError(err)
	}
	if !want.DryRun {
		s.logPublished(done)
	}
	writeJSON(w, http.StatusOK, done)
	return nil
}

// logPublished says what was changed in the DNS: somebody may ask one day.
func (s *Server) logPublished(done records.Publication) {
	for _, c := range records.Writes(done.Changes) {
		fields := []zap.Field{
			zap.String("through", done.Through), zap.String("action", string(c.Action)), zap.String("name", c.Name), zap.String("type", c.Type),
			zap.String("old", c.Old), zap.String("new", c.New),
		}
		if c.Error != "" {
			s.opts.Log.Warn("a DNS record could not be written", append(fields, zap.String("error", c.Error))...)
			continue
		}
		s.opts.Log.Info("a DNS record was written", fields...)
	}
}

// recordsError is what a program is told: 404 if the configuration has nothing
// to do with a domain, 422 if it has no way to do what is asked, 409 if the DNS
// has changed since the plan was made, or somebody else is writing to it.
func recordsError(err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		status = http.StatusNotFound
	case errors.Is(err, errors.ErrUnsupported):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, records.ErrChanged), errors.Is(err, records.ErrBusy):
		status = http.StatusConflict
	}
	return &Error{Status: status, Message: err.Error()}
}

// atMost is ctx for a time, and no longer than until the server is drained.
// cancel must be called.
func (s *Server) atMost(ctx context.Context, d time.Duration) (_ context.Context, cancel context.CancelFunc) {
	ctx, stop := s.whileServing(ctx)
	ctx, end := context.WithTimeoutCause(ctx, d, fmt.Errorf("it has taken more than %s", appliance.FormatDuration(d)))
	return ctx, func() { end(); stop() }
}

// Records lists the DNS records that the configuration needs, of some domains
// and hosts, or all.
func (c *Client) Records(ctx context.Context, domains []string) (list records.List, err error) {
	return list, c.get(ctx, "/v1/dns", url.Values{"domain": domains}, &list)
}

// CheckRecords compares them with what the name servers say.
func (c *Client) CheckRecords(ctx context.Context, domains []string) (found records.Comparison, err error) {
	return found, c.post(ctx, "/v1/dns/check", RecordsRequest{domains}, &found)
}

// PublishRecords has them written.
func (c *Client) PublishRecords(ctx context.Context, want PublishRequest) (done records.Publication, err error) {
	return done, c.post(ctx, "/v1/dns/publish", want, &done)
}
