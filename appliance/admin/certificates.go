package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// renewTime bounds a renewal: an authority looks at the DNS only after a new
// record had time to spread.
const renewTime = 10 * time.Minute

func (s *Server) certificates(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, CertificatePage{s.opts.Appliance.Certificates()}.filled())
	return nil
}

func (s *Server) renew(w http.ResponseWriter, r *http.Request) error {
	var want RenewRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	if want.Name == "" {
		return badRequest(`name is missing; it is one of the names of a certificate, or the address of a block, such as "tls.own"`)
	}
	ctx, cancel := s.untilDrain(r.Context())
	defer cancel()
	done, err := s.opts.Appliance.RenewCertificate(ctx, want.Name)
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	if err != nil {
		return renewalError(want.Name, done, err)
	}
	writeJSON(w, http.StatusOK, CertificatePage{done}.filled())
	return nil
}

// renewalError is what a program is told of a renewal that failed: 404 if
// nobody keeps such a certificate, 422 if those who do cannot be asked, and
// 503 if it was tried, which says that it may be tried again.
func renewalError(name string, asked []appliance.ServedCertificate, err error) *Error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Status: http.StatusNotFound, Message: err.Error()}
	case errors.Is(err, errors.ErrUnsupported):
		return &Error{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	}
	text := "there is no new certificate for " + name
	if len(asked) > 1 {
		text = "not all certificates of " + name + " were renewed"
	}
	return &Error{
		Status:  http.StatusServiceUnavailable,
		Message: text + "; what was served before goes on being served",
		Reasons: strings.Split(err.Error(), "\n"),
	}
}

// What ends a renewal before the authority does.
var (
	errStopping = errors.New("the server is stopping")
	errTooLong  = fmt.Errorf("it has taken more than %s; the server goes on trying by itself", appliance.FormatDuration(renewTime))
)

// untilDrain is ctx for at most renewTime, and no longer than until the server
// is drained: a stop does not wait for others. cancel must be called.
func (s *Server) untilDrain(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	ctx, end := context.WithTimeoutCause(ctx, renewTime, errTooLong)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-s.draining:
			stop(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(); stop(nil); <-ended }
}
