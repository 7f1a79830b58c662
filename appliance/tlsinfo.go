package appliance

import (
	"crypto/tls"
	"fmt"
)

// DescribeTLS is the version and the cipher suite of a connection:
// "TLS 1.3 TLS_AES_128_GCM_SHA256".
func DescribeTLS(cs *tls.ConnectionState) string {
	return fmt.Sprintf("%s %s", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite))
}
