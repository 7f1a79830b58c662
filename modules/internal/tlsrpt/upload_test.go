package tlsrpt

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
)

// TestUpload: a report is posted as it is; nothing but 2yz took it, and nobody
// is followed anywhere.
func TestUpload(t *testing.T) {
	ca := certstest.NewCA(t)
	for _, tc := range []struct {
		name, host string
		answer     int
		want       string
	}{
		{"taken", "reports.test", 200, ""},
		{"accepted", "reports.test", 202, ""},
		{"redirect", "reports.test", 307, "answered 307"},
		{"too large", "reports.test", 413, "answered 413"},
		{"broken", "reports.test", 503, "answered 503"},
		{"another name", "other.test", 200, "certificate"},
	} {
		got := ""
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			got += r.Method + " " + r.URL.String() + " " + r.Header.Get("Content-Type") + " " + string(b)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(tc.answer)
		}))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "reports.test")}}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		u := &Uploader{Roots: ca.Pool(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != tc.host+":443" {
				t.Errorf("dialled %s", address)
			}
			return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
		}}
		err := u.Upload(t.Context(), &url.URL{Scheme: "https", Host: tc.host, Path: "/v1"}, []byte("gzip"))
		s.Close()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if want := "POST /v1 application/tlsrpt+gzip gzip"; got != want && tc.host == "reports.test" {
			t.Errorf("%s: the server got %q", tc.name, got)
		}
	}
}
