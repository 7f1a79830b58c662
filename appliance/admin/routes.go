package admin

import (
	"net/http"
	"strings"
)

// observation is what anyone may know.
func (s *Server) observation() []route {
	return []route{
		{pattern: "/livez", method: http.MethodGet, handle: s.livez},
		{pattern: "/readyz", method: http.MethodGet, handle: s.readyz},
		{pattern: "/metrics", method: http.MethodGet, handle: s.metrics},
	}
}

func (s *Server) api() []route {
	return []route{
		{pattern: "/v1/version", method: http.MethodGet, handle: s.version},
		{pattern: "/v1/posture", method: http.MethodGet, handle: s.posture},
		{pattern: "/v1/reload", method: http.MethodPost, accepts: typeJSON, handle: s.reload},
		{pattern: "/v1/stop", method: http.MethodPost, accepts: typeJSON, handle: s.stop},
		{pattern: "/v1/queue", method: http.MethodGet, handle: s.working(s.queue)},
		{pattern: "/v1/queue/summary", method: http.MethodGet, handle: s.working(s.summary)},
		{pattern: "/v1/queue/{id}", method: http.MethodGet, handle: s.working(s.queued)},
		{pattern: "/v1/queue/sites", method: http.MethodGet, handle: s.working(s.sites)},
		{pattern: "/v1/queue/suspensions", method: http.MethodGet, handle: s.working(s.suspensions)},
		{pattern: "/v1/queue/suspend", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.suspend)},
		{pattern: "/v1/queue/resume", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.resume)},
		{pattern: "/v1/queue/change", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.change)},
		{pattern: "/v1/tls", method: http.MethodGet, handle: s.working(s.certificates)},
		{pattern: "/v1/tls/reports", method: http.MethodGet, handle: s.working(s.tlsReports)},
		{pattern: "/v1/tls/renew", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.renew)},
		{pattern: "/v1/dkim", method: http.MethodGet, handle: s.keys},
		{pattern: "/v1/dkim/rotate", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.rotateKeys)},
		{pattern: "/v1/dkim/retire", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.retireKey)},
		{pattern: "/v1/dns", method: http.MethodGet, handle: s.wantedRecords},
		{pattern: "/v1/dns/check", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.checkRecords)},
		{pattern: "/v1/dns/publish", method: http.MethodPost, accepts: typeJSON, handle: s.working(s.publishRecords)},
		{pattern: "/v1/bans", method: http.MethodGet, handle: s.bans},
		{pattern: "/v1/bans/clear", method: http.MethodPost, accepts: typeJSON, handle: s.clearBans},
		{pattern: "/v1/doctor", method: http.MethodGet, handle: s.working(s.checkup)},
		{pattern: "/v1/storage", method: http.MethodGet, handle: s.working(s.verifyStorage)},
		{pattern: "/v1/storage/backup", method: http.MethodGet, handle: s.working(s.backupStorage)},
		{pattern: "/v1/selftest", method: http.MethodPost, accepts: typeMessage, handle: s.working(s.selftest)},
		{pattern: "/v1/send", method: http.MethodPost, accepts: typeMessage, handle: s.send},
		{pattern: "/v1/events", method: http.MethodGet, handle: s.events},
		{pattern: "/v1/captured", method: http.MethodGet, handle: s.working(s.captured)},
		{pattern: "/v1/captured/{id}", method: http.MethodGet, handle: s.working(s.openCaptured)},
	}
}

// working is a handler that uses the store.
func (s *Server) working(h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		leave, err := s.enter()
		if err != nil {
			return err
		}
		defer leave()
		return h(w, r)
	}
}

// livez says that the process answers: what else could it say.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("ok\n"))
	return err
}

// readyz does not ask for certificates: see [appliance.Appliance.Healthy].
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	select {
	case <-s.draining:
		return notReady("the server is stopping")
	default:
	}
	if err := s.opts.Appliance.Healthy(); err != nil {
		return notReady(strings.Split(err.Error(), "\n")...)
	}
	_, err := w.Write([]byte("ok\n"))
	return err
}

func notReady(reasons ...string) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Message: "not ready", Reasons: reasons}
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	s.opts.Appliance.MetricsHandler().ServeHTTP(w, r)
	return nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, s.opts.Version)
	return nil
}

func (s *Server) posture(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, s.opts.Appliance.Posture())
	return nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	var want ReloadRequest
	if err := readJSON(r, &want); err != nil {
		return err
	}
	done, err := s.opts.Reload(r.Context(), want.Plan)
	setWriteDeadline(w, writeTimeout) // it may have taken its time
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, done)
	return nil
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	var nothing struct{}
	if err := readJSON(r, &nothing); err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, s.opts.Version)
	s.opts.Stop()
	return nil
}
