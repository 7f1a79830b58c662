package acme

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	acmeproto "github.com/mholt/acmez/v3/acme"
)

// Limits of a visit to a door. An authority sends one small request, or makes
// one handshake.
const (
	visitTimeout   = 10 * time.Second
	maxVisitHeader = 8 << 10 // octets
	maxToken       = 256     // octets
	partingTime    = time.Second
)

const challengePath = "/.well-known/acme-challenge/"

// serveHTTP answers http-01 (RFC 8555, section 8.3) for the names that are
// kept. A visit is over after patience.
func serveHTTP(kept func() []string, patience time.Duration) func(net.Listener) (stop func()) {
	return func(l net.Listener) (stop func()) {
		var visits, serving sync.WaitGroup
		server := &http.Server{
			Handler:           answerHTTP(kept),
			ReadHeaderTimeout: patience,
			ReadTimeout:       patience,
			WriteTimeout:      patience,
			MaxHeaderBytes:    maxVisitHeader,
			ErrorLog:          log.New(io.Discard, "", 0),
			ConnState: func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew:
					visits.Add(1)
				case http.StateClosed, http.StateHijacked:
					visits.Done()
				}
			},
		}
		server.SetKeepAlivesEnabled(false)
		serving.Go(func() { _ = server.Serve(l) }) // it ends with Shutdown
		return func() {
			// An answer that is on its way may still be another attempt's.
			ctx, cancel := context.WithTimeout(context.Background(), partingTime)
			defer cancel()
			if server.Shutdown(ctx) != nil {
				server.Close() //nolint:errcheck // what is left of it is cut
			}
			serving.Wait()
			visits.Wait()
		}
	}
}

// answerHTTP answers the GET of the one path that an authority has been told to
// ask for. Everything else is not found. The Host field is not looked at: a
// proxy may have written its own, as nginx and Apache do unless they are told
// otherwise. The token cannot be guessed (RFC 8555, section 8.3), and the answer
// is nothing to who knows it.
func answerHTTP(kept func() []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		token, ok := strings.CutPrefix(r.URL.Path, challengePath)
		if r.Method != http.MethodGet || !ok || !isToken(token) {
			http.NotFound(w, r)
			return
		}
		for _, name := range kept() {
			c, ok := certmagic.GetACMEChallenge(name)
			if ok && c.Type == acmeproto.ChallengeTypeHTTP01 && c.Token == token {
				// As in the example of RFC 8555, section 8.3.
				w.Header().Set("Content-Type", "application/octet-stream")
				_, _ = io.WriteString(w, c.KeyAuthorization) // a visitor that is gone comes again
				return
			}
		}
		http.NotFound(w, r)
	})
}

// isToken says whether s has the form of a token: "It MUST NOT contain any
// characters outside the base64url alphabet" (RFC 8555, section 8.3).
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool {
		isAlnum := r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		return !isAlnum && r != '-' && r != '_'
	})
}
