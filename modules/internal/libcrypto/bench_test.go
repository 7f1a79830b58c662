//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"crypto"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSign compares libcrypto with crypto/rsa, in time and in processor
// time, which says more on a machine that does other work, too. What OpenSSL
// takes without AVX-512 IFMA is seen with OPENSSL_ia32cap=:~0x200000 in the
// environment.
func BenchmarkSign(b *testing.B) {
	digest := sums(1)[0]
	for _, c := range []struct {
		name   string
		signer crypto.Signer
	}{{"crypto-rsa", rsa2048}, {"libcrypto", signer(b, rsa2048)}} {
		b.Run(c.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			defer reportProcessor(b, processorTime())
			for b.Loop() {
				if _, err := c.signer.Sign(nil, digest, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.SetParallelism(25)
			defer reportProcessor(b, processorTime())
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

func reportProcessor(b *testing.B, before time.Duration) {
	used := processorTime() - before
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
}

// processorTime is what the process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
