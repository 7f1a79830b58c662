package admin_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest: a request over TCP without the token is answered with a refusal,
// whatever else it says, and with the token never with a fault of ours.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /v1/queue?class=spam&older=1h&limit=-1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"POST /v1/queue/change HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n{\"filter\":{},\"change\":\"release\"}\n",
		"POST /v1/send?from=a@example.com&to=b@example.org HTTP/1.1\r\nHost: localhost\r\nContent-Type: message/rfc822\r\nContent-Length: 16\r\n\r\nSubject: x\r\n\r\nx\r\n",
		"POST /v1/tls/renew HTTP/1.1\r\nHost: [::1]:1\r\nContent-Type: application/json; charset=\"\r\nContent-Length: 2\r\n\r\n{}",
		"GET /v1/queue/..%2f..%2fetc HTTP/1.0\r\nAuthorization: Bearer\r\n\r\n",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, raw string, known bool) {
		r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(strings.NewReader(raw), 64<<10)))
		if err != nil || strings.Contains(raw, token) {
			return
		}
		h := open(t, "tcp")
		r.Header.Del("Authorization")
		if known {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if strings.Contains(r.URL.Path, "/doctor") || strings.Contains(r.URL.Path, "/selftest") {
			return // they ask others
		}
		if strings.Contains(r.URL.Path, "/stop") || strings.Contains(r.URL.Path, "/events") || strings.Contains(r.URL.Path, "/reload") {
			return // one ends, one never does, one needs a file
		}
		w := httptest.NewRecorder()
		h.server.Handler().ServeHTTP(w, r.WithContext(t.Context()))
		if !known && w.Code < 400 {
			t.Errorf("%q is answered %d without the token", raw, w.Code)
		}
		if w.Code == http.StatusInternalServerError || w.Code > 599 {
			t.Errorf("%q is answered %d: %s", raw, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), token) {
			t.Errorf("the token is in the answer to %q", raw)
		}
	})
}
