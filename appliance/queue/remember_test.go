package queue

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A diary is a store that notes what deliveries are to remember.
type diary struct {
	appliance.Store
	mu  sync.Mutex
	all []*appliance.Attempt
}

func (d *diary) Settle(ctx context.Context, outcomes ...appliance.Outcome) error {
	d.mu.Lock()
	for _, o := range outcomes {
		d.all = append(d.all, o.Attempt)
	}
	d.mu.Unlock()
	return d.Store.Settle(ctx, outcomes...)
}

func newDiary(t *testing.T) (*house, *diary) {
	d := new(diary)
	h := newHouse(t, func(in *appliance.EngineContext) { d.Store, in.Store = in.Store, d })
	return h, d
}

// TestRemembered: a delivery that waits remembers its attempts: which servers
// the relay has tried, and what became of each recipient. One that is over
// remembers nothing.
func TestRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, diary := newDiary(t)
		later, full := appliance.NewReply(450, 2, 0, "Greylisted"), appliance.NewReply(452, 2, 2, "Mailbox full")
		try := appliance.Try{Host: "mx.example.org", Peer: "192.0.2.25:25", Dialogue: "S: 220 mx\n"}
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(2 * time.Second)
			appliance.TellTry(ctx, try)
			return byRecipient(map[string]*appliance.Reply{"bob": later, "cy": full, "dan": later})(ctx, env)
		})
		h.start()
		began := h.now()
		h.send("ann@example.com", "bob@example.org", "cy@example.org", "dan@example.org")
		after(3 * time.Second)
		want := []*appliance.Attempt{{
			Began: began, Took: 2 * time.Second, Number: 1, Tries: []appliance.Try{try},
			Outcomes: []appliance.AttemptOutcome{
				{Relay: "mx", Recipients: []int{0, 2}, Result: appliance.Result{Reply: *later, Remote: true, Class: appliance.ClassGreylist}},
				{Relay: "mx", Recipients: []int{1}, Result: appliance.Result{Reply: *full, Remote: true, Class: appliance.ClassMailboxFull}},
			},
		}}
		if diff := cmp.Diff(want, diary.all); diff != "" {
			t.Errorf("remembered (-want +got):\n%s", diff)
		}
		h.relay.answer("example.org", says(250, 0, 0, "ok"))
		after(5 * time.Minute)
		if len(diary.all) != 2 || diary.all[1] != nil {
			t.Errorf("a delivery that is over remembers %+v", diary.all)
		}
	})
}

// TestNotRemembered: what is cut off because the engine stops was no attempt.
func TestNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, diary := newDiary(t)
		h.relay.answer("example.org", silence(time.Hour))
		h.start()
		h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		h.stop()
		if diff := cmp.Diff([]*appliance.Attempt{nil}, diary.all); diff != "" {
			t.Errorf("remembered (-want +got):\n%s", diff)
		}
	})
}
