package appliance

import (
	"crypto/tls"
	"slices"
)

// DescribeTLS is the version and the cipher suite of a connection:
// "TLS 1.3 TLS_AES_128_GCM_SHA256".
func DescribeTLS(cs *tls.ConnectionState) string {
	suite, ok := suiteNames[cs.CipherSuite]
	if !ok {
		suite = tls.CipherSuiteName(cs.CipherSuite) // its number
	}
	return tls.VersionName(cs.Version) + " " + suite
}

// suiteNames are the names of all cipher suites that can be negotiated.
// [tls.CipherSuiteName] makes a list of them each time, and every message that
// comes by TLS is told of its own.
var suiteNames = func() map[uint16]string {
	names := make(map[uint16]string)
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		names[s.ID] = s.Name
	}
	return names
}()
