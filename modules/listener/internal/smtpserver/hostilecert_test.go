package smtpserver

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestP17LargeClientCertificate: what anybody can show us is bounded, since it
// is kept as long as the session is.
func TestP17LargeClientCertificate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for names, welcome := range map[int]bool{100: true, 8_000: false} {
			r := start(t, implicit, knowing("printer"))
			config := r.showing(t, "printer", many(names)...)
			config.MaxVersion = version
			c, err := tls.Dial("tcp", r.srv.Addrs()[0].String(), config)
			if err == nil {
				// TLS 1.3: the client is done before the server has looked.
				err = c.SetDeadline(time.Now().Add(10 * time.Second))
				if err == nil {
					_, err = c.Read(make([]byte, 1))
				}
				c.Close()
			}
			if (err == nil) != welcome {
				t.Errorf("%s, %d names: %v", tls.VersionName(version), names, err)
			}
			if err != nil && !strings.Contains(err.Error(), "bad certificate") {
				t.Errorf("%s: %v is not about the certificate", tls.VersionName(version), err)
			}
		}
	}
}

func many(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%d.example", i)
	}
	return names
}
