package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// The content types of the API.
const (
	typeJSON    = "application/json"
	typeMessage = "message/rfc822"
	typeLines   = "application/x-ndjson"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		b, status = []byte(`{"error":"the answer cannot be written as JSON"}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone: nobody to tell
}

// writeError answers with the [Error] that err is, or means.
func writeError(w http.ResponseWriter, err error) {
	e := errorFor(err)
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="waxwing"`)
	}
	writeJSON(w, e.Status, e)
}

func errorFor(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big.Limit)
	}
	if d, ok := errors.AsType[config.Diagnostics](err); ok {
		return &Error{Status: http.StatusUnprocessableEntity, Message: "the configuration does not load", Diagnostics: d}
	}
	if r, ok := errors.AsType[*appliance.Reply](err); ok {
		return &Error{Status: statusOf(r), Message: err.Error(), Reply: wireReply(r)}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Status: http.StatusRequestTimeout, Message: "the request did not arrive in time"}
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Status: http.StatusNotFound, Message: "no such message"}
	}
	return &Error{Status: http.StatusInternalServerError, Message: err.Error()}
}

// statusOf is the status of HTTP that tells a program what to do, as the code
// of SMTP does.
func statusOf(r *appliance.Reply) int {
	switch {
	case r.Temporary():
		return http.StatusServiceUnavailable
	case r.Code == appliance.ErrTooLarge.Code:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}

// readJSON reads the one JSON value of a request.
func readJSON(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err == nil {
		return nil
	}
	if e := errorFor(err); e.Status != http.StatusInternalServerError {
		return e
	}
	return badRequest("the body is not the JSON that belongs here: %v", err)
}

func badRequest(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}
