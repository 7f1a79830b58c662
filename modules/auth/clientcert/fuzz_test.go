package clientcert

import (
	"encoding/pem"
	"testing"
)

// testAuthority is one whose key nobody has any more.
const testAuthority = `-----BEGIN CERTIFICATE-----
MIIBfDCCASGgAwIBAgIUQgHuu/4XSiUrLItL+N872t94tEQwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHVGVzdCBDQTAgFw0yNjExMjMyMjU4MjZaGA8yMTI2MTAzMDIy
NTgyNlowEjEQMA4GA1UEAwwHVGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABLd8DmZJQn1oBPPVs+fSfBBkSHBYJ8pj/Z1lsIPW9xdMkTbQ3Npe/YDsopBX
S9KIPibEnHe8qpehimTCvX5qYCujUzBRMB0GA1UdDgQWBBRzz7C0GtYHH2kpokjb
pUwRWnV0TTAfBgNVHSMEGDAWgBRzz7C0GtYHH2kpokjbpUwRWnV0TTAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCrO+0/mVs7ihq9mi2J953wnQ84
uq/acSvqzyke+kbuTgIhANA9z62BQe+wIMtPitY4wmHI6d6S+iYqjew5Y+JQMdT5
-----END CERTIFICATE-----
`

// FuzzFiles: a file of authorities or of revocation lists is either understood
// to its last block or refused.
func FuzzFiles(f *testing.F) {
	cert := []byte(testAuthority)
	f.Add(cert)
	f.Add(append(append([]byte("a comment\n"), cert...), cert[:len(cert)/2]...))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{0x30, 0x00}}))
	f.Add([]byte{0x30, 0x80, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, content []byte) {
		if cas, err := parseAuthorities(content); err == nil {
			if len(cas) == 0 || len(cas) != blocks(content) {
				t.Errorf("%d authorities of %d blocks", len(cas), blocks(content))
			}
			for _, ca := range cas {
				if !ca.IsCA {
					t.Errorf("%q is no authority", ca.Subject)
				}
			}
		}
		if lists, err := parseLists(content); err == nil && (len(lists) == 0 || lists[0] == nil) {
			t.Error("a file without lists was taken")
		}
	})
}

// blocks counts the PEM blocks of a file.
func blocks(content []byte) (n int) {
	for {
		var b *pem.Block
		if b, content = pem.Decode(content); b == nil {
			return n
		}
		n++
	}
}
