package namedlock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		unlock, err := s.Lock(t.Context(), "a", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := s.Lock(t.Context(), "b", time.Minute); err != nil || other() != nil {
			t.Fatal("another name is locked too")
		}
		start := time.Now()
		time.AfterFunc(10*time.Second, func() {
			if err := unlock(); err != nil {
				t.Error(err)
			}
		})
		if _, err = s.Lock(t.Context(), "a", time.Minute); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v for a lock that was released after 10s", waited)
		}
	})
}

func TestLockExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		late, err := s.Lock(t.Context(), "a", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		unlock, err := s.Lock(t.Context(), "a", time.Minute)
		if err != nil || time.Since(start) != time.Minute {
			t.Fatalf("got the lock after %v, %v", time.Since(start), err)
		}
		if late() == nil {
			t.Error("an unlock that came too late reports no error")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Lock(ctx, "a", time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the late unlock took the lock from its new holder: %v", err)
		}
		if err := unlock(); err != nil {
			t.Error(err)
		}
	})
}
