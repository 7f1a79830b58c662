package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/backup"
)

// typeArchive is the content type of a backup.
const typeArchive = "application/x-tar"

// storageKeeper is the store, if there is something of it to verify and to save.
func (s *Server) storageKeeper() (appliance.StorageKeeper, error) {
	if k, ok := s.opts.Appliance.Store().(appliance.StorageKeeper); ok {
		return k, nil
	}
	return nil, &Error{Status: http.StatusUnprocessableEntity, Message: "the store of this server keeps nothing on disk: there is nothing to verify or to save"}
}

func (s *Server) verifyStorage(w http.ResponseWriter, r *http.Request) error {
	k, err := s.storageKeeper()
	if err != nil {
		return err
	}
	ctx, cancel := s.whileServing(r.Context())
	defer cancel()
	report, err := k.Verify(ctx)
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, report)
	return nil
}

// backupStorage writes an archive. It holds the private keys of the server, so
// that it goes over the socket alone, which only its user can open.
func (s *Server) backupStorage(w http.ResponseWriter, r *http.Request) error {
	if s.tcp {
		return &Error{Status: http.StatusForbidden, Message: "a backup holds private keys and is handed out on the unix socket alone"}
	}
	k, err := s.storageKeeper()
	if err != nil {
		return err
	}
	ctx, cancel := s.whileServing(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", typeArchive)
	archive := backup.NewWriter(alive{w})
	report, err := k.Backup(ctx, archive.Add)
	if err != nil && !archive.Begun() {
		setWriteDeadline(w, writeTimeout) // it may have taken its time
		return err
	}
	if err := archive.Finish(report, err); err != nil {
		s.opts.Log.Warn(fmt.Sprintf("a backup could not be finished: %v", err))
	}
	return nil // what went wrong is in the archive
}

// alive is a response that takes as long as its reader, who must go on reading.
type alive struct{ w http.ResponseWriter }

// Write implements io.Writer.
func (a alive) Write(p []byte) (int, error) {
	setWriteDeadline(a.w, writeTimeout)
	return a.w.Write(p)
}

// whileServing is ctx until the server is drained: a stop does not wait for
// others. cancel must be called.
func (s *Server) whileServing(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-s.draining:
			stop(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(nil); <-ended }
}

// VerifyStorage has everything in the data directory checked.
func (c *Client) VerifyStorage(ctx context.Context) (report appliance.StorageReport, err error) {
	err = c.get(ctx, "/v1/storage", nil, &report)
	return report, err
}

// BackupStorage writes everything that is worth saving to w, as an archive of
// package backup. Only its end says whether it is whole.
func (c *Client) BackupStorage(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/storage/backup", nil, "", nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
