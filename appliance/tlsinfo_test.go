package appliance

import (
	"crypto/tls"
	"testing"
)

func TestDescribeTLS(t *testing.T) {
	for suite, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:                "TLS 1.3 TLS_AES_128_GCM_SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "TLS 1.3 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		tls.TLS_RSA_WITH_AES_128_CBC_SHA:          "TLS 1.3 TLS_RSA_WITH_AES_128_CBC_SHA",
		0xfefe:                                    "TLS 1.3 0xFEFE",
	} {
		if got := DescribeTLS(&tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: suite}); got != want {
			t.Errorf("%#x is %q, want %q", suite, got, want)
		}
	}
}
