package appliance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAttachment is P12: a transaction that began on the old pipeline finishes
// there, and the old one is retired when the last has.
func TestAttachment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := new(Pipeline), new(Pipeline)
		var a Attachment
		a.Attach(old)
		p, release := a.Acquire()
		_, release2 := a.Acquire()
		a.Attach(next)
		if p != old {
			t.Fatal("the first transaction is not on the old pipeline")
		}
		retired := make(chan error, 1)
		go func() { retired <- old.use.retire(context.Background()) }()
		synctest.Wait()
		if p, release := a.Acquire(); p != next {
			t.Error("a new transaction is on the old pipeline")
		} else {
			release()
		}
		release()
		release() // once more does nothing
		synctest.Wait()
		select {
		case <-retired:
			t.Fatal("retired while a transaction is on it")
		default:
		}
		release2()
		if err := <-retired; err != nil {
			t.Error(err)
		}
		if err := old.use.retire(context.Background()); err != nil {
			t.Errorf("retired twice: %v", err)
		}
	})
}

func TestAttachmentRetireGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a Attachment
		a.Attach(new(Pipeline))
		p, release := a.Acquire()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.use.retire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		release()
		// Nothing succeeds it, and yet nobody waits forever.
		if q, release := a.Acquire(); q != p {
			t.Error("another pipeline")
		} else {
			release()
		}
	})
}

// TestAttachmentRace: reloads and transactions at the same time; nobody is
// inside a pipeline that has been retired.
func TestAttachmentRace(t *testing.T) {
	var a Attachment
	a.Attach(new(Pipeline))
	var gone sync.Map
	stop := make(chan struct{})
	var transactions sync.WaitGroup
	for range 4 {
		transactions.Go(func() {
			for {
				p, release := a.Acquire()
				if _, bad := gone.Load(p); bad {
					t.Error("acquired a retired pipeline")
				}
				release()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 200 {
		old := a.p.Load()
		a.Attach(new(Pipeline))
		if err := old.use.retire(context.Background()); err != nil {
			t.Error(err)
		}
		gone.Store(old, true)
	}
	close(stop)
	transactions.Wait()
}
