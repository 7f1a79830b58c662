package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// TestX5 is the matrix of requests that a browser, a rebound name, or a
// confused program sends: none reaches a handler.
func TestX5(t *testing.T) {
	auth := "Authorization: Bearer " + token + "\r\n"
	const json = "Content-Type: application/json\r\n"
	const stop = "POST /v1/stop"
	for _, c := range []struct {
		name, line, header, body string
		tcp, unix                int // status over TCP and over the unix socket
	}{
		{"fine", "GET /v1/version", auth, "", 200, 200},
		{"fine by name", "GET /v1/version", auth + "Host: MAIL.example.com:8026\r\n", "", 200, 200},
		{"fine by IPv6", "GET /v1/version", auth + "Host: [::1]:8026\r\n", "", 200, 200},
		{"foreign host", "GET /v1/version", auth + "Host: evil.example\r\n", "", 403, 200},
		{"rebound name", stop, auth + json + "Host: 127.0.0.1.nip.example\r\n", "{}", 403, 202},
		{"origin", stop, auth + json + "Origin: http://evil.example\r\n", "{}", 403, 403},
		{"null origin", stop, auth + json + "Origin: null\r\n", "{}", 403, 403},
		{"own origin", stop, auth + json + "Origin: http://localhost\r\n", "{}", 403, 403},
		{"no-cors", stop, auth + json + "Sec-Fetch-Mode: no-cors\r\n", "{}", 403, 403},
		{"navigation", "GET /v1/version", auth + "Sec-Fetch-Site: none\r\n", "", 403, 403},
		{"no token", "GET /v1/version", "", "", 401, 200},
		{"no token for livez", "GET /livez", "", "", 401, 200},
		{"wrong token", "GET /v1/version", "Authorization: Bearer " + token[1:] + "\r\n", "", 401, 200},
		{"empty token", "GET /v1/version", "Authorization: Bearer \r\n", "", 401, 200},
		{"basic", "GET /v1/version", "Authorization: Basic " + token + "\r\n", "", 401, 200},
		{"no token for a path that is not there", "GET /v2", "", "", 401, 404},
		{"text", stop, auth + "Content-Type: text/plain\r\n", "{}", 415, 415},
		{"form", stop, auth + "Content-Type: application/x-www-form-urlencoded\r\n", "{}", 415, 415},
		{"no type", stop, auth, "{}", 415, 415},
		{"JSON to send", "POST /v1/send?from=a@example.com&to=b@example.org", auth + json, "{}", 415, 415},
		{"GET that changes", "GET /v1/stop", auth, "", 405, 405},
		{"GET that renews", "GET /v1/tls/renew", auth, "", 405, 405},
		{"POST to a listing", "POST /v1/tls", auth + json, "{}", 405, 405},
		{"text to renew", "POST /v1/tls/renew", auth + "Content-Type: text/plain\r\n", `{"name":"tls.own"}`, 415, 415},
		{"renew from a page", "POST /v1/tls/renew", auth + json + "Origin: null\r\n", `{"name":"tls.own"}`, 403, 403},
		{"renew what nobody keeps", "POST /v1/tls/renew", auth + json, `{"name":"mail.example.net"}`, 404, 404},
		{"renew nothing", "POST /v1/tls/renew", auth + json, `{}`, 400, 400},
		{"renew with more", "POST /v1/tls/renew", auth + json, `{"name":"tls.own","force":true}`, 400, 400},
		{"1 GB to renew", "POST /v1/tls/renew", auth + json + "Content-Length: 1000000000\r\n", "", 413, 413},
		{"certificates without a token", "GET /v1/tls", "", "", 401, 200},
		{"PUT", "PUT /v1/queue", auth + json, "{}", 405, 405},
		{"DELETE", "DELETE /v1/queue/x", auth, "", 405, 405},
		{"OPTIONS", "OPTIONS /v1/stop", auth, "", 405, 405},
		{"dots", "GET /v1/queue/../version", auth, "", 404, 404},
		{"encoded dots", "GET /v1/queue/%2e%2e/version", auth, "", 404, 404},
		{"encoded slash", "GET /v1%2fversion", auth, "", 404, 404},
		{"double slash", "GET //v1/version", auth, "", 404, 404},
		{"slash at the end", "GET /v1/version/", auth, "", 404, 404},
		{"longer", "GET /v1/versions", auth, "", 404, 404},
		{"shorter", "GET /v1", auth, "", 404, 404},
		{"absolute form", "GET http://evil.example/v1/version", auth, "", 403, 200},
		{"NUL", "GET /v1/queue/%00", auth, "", 404, 404},
		{"bad JSON", stop, auth + json, "{", 400, 400},
		{"unknown field", stop, auth + json, `{"now":true}`, 400, 400},
		{"two values", stop, auth + json, `{}{}`, 400, 400},
		{"1 GB announced", "POST /v1/queue/change", auth + json + "Content-Length: 1000000000\r\n", "", 413, 413},
		{"2 MB in chunks", "POST /v1/queue/change", auth + json + "Transfer-Encoding: chunked\r\n",
			"200000\r\n\"" + strings.Repeat("a", 0x200000-1) + "\r\n0\r\n\r\n", 413, 413},
		{"message over the limit", "POST /v1/send?from=a@example.com&to=b@example.org", auth + "Content-Type: message/rfc822\r\n",
			strings.Repeat("a\r\n", 30000), 413, 413},
		{"32 KiB of header", "GET /v1/version", auth + "X: " + strings.Repeat("a", 64<<10) + "\r\n", "", 431, 431},
	} {
		for network, want := range map[string]int{"tcp": c.tcp, "unix": c.unix} {
			t.Run(c.name+"/"+network, func(t *testing.T) {
				h := open(t, network)
				got := h.request(t, raw(c.line, c.header, c.body))
				if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", want)) {
					t.Errorf("want %d, got %.300s", want, got)
				}
				if want != 202 {
					select {
					case <-h.stopped:
						t.Error("a refused request stopped the server")
					default:
					}
				}
			})
		}
	}
}

func raw(line, header, body string) string {
	if !strings.Contains(header, "Host:") {
		header += "Host: 127.0.0.1:8026\r\n"
	}
	if body != "" && !strings.Contains(header, "Content-Length") && !strings.Contains(header, "Transfer-Encoding") {
		header += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return line + " HTTP/1.1\r\n" + header + "Connection: close\r\n\r\n" + body
}

// TestX5SlowBody sends a body that does not come: 408, not a wait for ever.
func TestX5SlowBody(t *testing.T) {
	h := open(t, "unix", func(s *admin.Server) { s.SetReadTimeout(50 * time.Millisecond) })
	got := h.request(t, "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
	if !strings.HasPrefix(got, "HTTP/1.1 408 ") {
		t.Errorf("got %.200s", got)
	}
}

func TestMethodNotAllowedNamesTheMethod(t *testing.T) {
	h := open(t, "unix")
	if got := h.request(t, raw("POST /v1/queue", "", "x")); !strings.Contains(got, "\r\nAllow: GET, HEAD\r\n") {
		t.Errorf("got %s", got)
	}
	if got := h.request(t, raw("GET /v1/stop", "", "")); !strings.Contains(got, "\r\nAllow: POST\r\n") {
		t.Errorf("got %s", got)
	}
}
