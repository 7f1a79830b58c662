package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/waxwing-mail/waxwing/appliance/doctor"
)

// maxWords is how many words a check-up can be narrowed by.
const maxWords = 16

// checkup makes a check-up from where the mail leaves. One at a time: it asks
// others.
func (s *Server) checkup(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	words, offline := q["name"], false
	if text := q.Get("offline"); text != "" {
		var err error
		if offline, err = strconv.ParseBool(text); err != nil {
			return badRequest("offline is %q; write true or false", text)
		}
	}
	if len(words) > maxWords {
		return badRequest("there are %d names; at most %d are allowed", len(words), maxWords)
	}
	if !s.examining.TryLock() {
		return &Error{Status: http.StatusConflict, Message: "another check-up is under way: try again when it has ended"}
	}
	defer s.examining.Unlock()
	ctx, cancel := s.whileServing(r.Context())
	defer cancel()
	subject := doctor.SubjectOf(s.opts.Appliance, true)
	subject.Offline = offline
	report, err := subject.Report(ctx, words)
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	if err != nil {
		return badRequest("%v", err)
	}
	writeJSON(w, http.StatusOK, report)
	return nil
}

// Doctor has the server look at everything that its mail depends on, or at
// what words name: see [doctor.Select]. It takes up to two minutes. Offline
// asks nobody but the machine.
func (c *Client) Doctor(ctx context.Context, words []string, offline bool) (report doctor.Report, err error) {
	return report, c.get(ctx, "/v1/doctor", url.Values{"name": words, "offline": {strconv.FormatBool(offline)}}, &report)
}
