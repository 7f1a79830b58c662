package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxBody is the largest body of a request that is no message, in octets.
const maxBody = 1 << 20

// refuse says why no handler may see the request, or nil. tcp is false for a
// unix socket, whose mode is its guard.
func (s *Server) refuse(r *http.Request, tcp bool) *Error {
	if tcp && !s.ourHost(r.Host) {
		return &Error{Status: http.StatusForbidden, Message: "this Host is not served here"}
	}
	if fromBrowser(r.Header) {
		return &Error{Status: http.StatusForbidden, Message: "requests of browsers are not served here"}
	}
	if tcp && !s.authorized(r.Header) {
		return &Error{Status: http.StatusUnauthorized, Message: "send the token of the admin block: Authorization: Bearer …"}
	}
	if !cleanPath(r) {
		return notFound()
	}
	return nil
}

// ourHost says whether a Host field can come from somebody who meant this
// server. A name that an attacker made resolve to our address (DNS rebinding)
// is neither an address nor one of our names.
func (s *Server) ourHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost") || strings.EqualFold(host, s.opts.Appliance.Graph().Settings.Hostname)
}

// fromBrowser says whether a browser has sent the request. Sec-Fetch fields
// cannot be set, and cannot be left out, by a script (W3C Fetch Metadata).
func fromBrowser(h http.Header) bool {
	if h.Get("Origin") != "" {
		return true
	}
	for name := range h {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

// authorized compares the bearer token (RFC 6750, section 2.1) in constant
// time; of digests, so that not even its length shows.
func (s *Server) authorized(h http.Header) bool {
	want := s.token.Load().Reveal()
	scheme, got, _ := strings.Cut(h.Get("Authorization"), " ")
	if want == "" || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// cleanPath says whether the path is written in the one way there is to write
// it: no dots, no double slashes, nothing encoded.
func cleanPath(r *http.Request) bool {
	p := r.URL.Path
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && r.URL.EscapedPath() == p
}

// A route is a path and what it takes.
type route struct {
	pattern string // of http.ServeMux, without a method
	method  string
	accepts string // the content type of a POST
	handle  func(http.ResponseWriter, *http.Request) error
}

// allowed lists the methods it takes: HEAD is part of GET (RFC 9110, section
// 9.3.2).
func (rt route) allowed() []string {
	if rt.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{rt.method}
}

// admit checks the request against its route.
func (rt route) admit(r *http.Request, limit int64) *Error {
	if !slices.Contains(rt.allowed(), r.Method) {
		return &Error{Status: http.StatusMethodNotAllowed, Message: "use " + rt.method}
	}
	if rt.method == http.MethodGet {
		return nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != rt.accepts {
		return &Error{Status: http.StatusUnsupportedMediaType, Message: "send Content-Type: " + rt.accepts}
	}
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	return nil
}

// limit is the largest body that the route takes.
func (s *Server) limit(rt route) int64 {
	if rt.accepts == typeMessage {
		return int64(s.opts.Appliance.Graph().Settings.Limits.MaxMessageSize)
	}
	return maxBody
}

func tooLarge(limit int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is larger than " + appliance.Size(limit).String()}
}

func notFound() *Error {
	return &Error{Status: http.StatusNotFound, Message: "there is nothing at this path"}
}
