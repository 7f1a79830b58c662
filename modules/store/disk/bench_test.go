package disk

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var benchBody = "\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 64) // 4 KiB

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchmark runs op with 64 parallel callers on a real disk and reports the
// processor time of each message beside the wall clock.
func benchmark(b *testing.B, op func(s *Store, id appliance.QueueID) error) {
	s := startStore(b, nil, filepath.Join(b.TempDir(), "data"))
	var n atomic.Int64
	b.SetParallelism(32) // for each of GOMAXPROCS
	b.ResetTimer()
	start := cpu()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := op(s, appliance.QueueID(fmt.Sprintf("%020d", n.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.StopTimer()
}

func benchCommit(s *Store, id appliance.QueueID) error {
	msg, err := accepted(s, id, benchBody, "bob")
	if err != nil {
		return err
	}
	return s.Commit(context.Background(), msg)
}

// BenchmarkCommit takes 4 KiB messages in.
func BenchmarkCommit(b *testing.B) { benchmark(b, benchCommit) }

// BenchmarkLife takes 4 KiB messages in, leases one and settles it.
func BenchmarkLife(b *testing.B) {
	benchmark(b, func(s *Store, id appliance.QueueID) error {
		if err := benchCommit(s, id); err != nil {
			return err
		}
		leased, err := s.Lease(context.Background(), appliance.LeaseRequest{
			Destination: "mx/example.net", Now: testTime, Until: testTime.Add(time.Hour), Max: 1,
		})
		if err != nil || len(leased) == 0 {
			return err
		}
		one := leased[0]
		r, err := one.Message.Body.Open()
		if err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
		one.Delivery.Recipients[0].Status = appliance.Delivered
		return s.Settle(context.Background(), appliance.Outcome{Key: one.Key, Delivery: one.Delivery})
	})
}

func BenchmarkRecord(b *testing.B) {
	r := deliveryRecord{parts: 1, Delivery: appliance.Delivery{
		Destination: "mx/example.net", Due: testTime,
		Recipients: []appliance.RecipientState{{Recipient: appliance.Recipient{Mailbox: testMailbox("bob")}}},
	}}
	key := deliveryKey(appliance.DeliveryKey{ID: "01jd3m8zk6q0v9xwr5tn"})
	for b.Loop() {
		if _, err := decodeDelivery(key, r.encode(key)); err != nil {
			b.Fatal(err)
		}
	}
}
