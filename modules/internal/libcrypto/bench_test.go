//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"crypto"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	digest := sums(1)[0]
	for _, c := range []struct {
		name   string
		signer crypto.Signer
	}{{"crypto-rsa", rsa2048}, {"libcrypto", signer(b, rsa2048)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.signer.Sign(nil, digest, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"-parallel", func(b *testing.B) {
			b.SetParallelism(25)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.signer.Sign(nil, digest, crypto.SHA256); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
