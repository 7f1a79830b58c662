package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func TestEvents(t *testing.T) {
	h := open(t, "unix")
	all, err := h.client.Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	one, err := h.client.Events(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	h.events.Emit(appliance.Event{Kind: appliance.EventAccepted, ID: "zero"})
	h.events.Emit(appliance.Event{Kind: appliance.EventAccepted, ID: "one"})
	for want, watch := range map[appliance.QueueID]func(func(admin.Event, error) bool){"zero": all, "one": one} {
		for e, err := range watch {
			if err != nil || e.ID != want {
				t.Errorf("want %s, got %+v, %v", want, e, err)
			}
			break
		}
	}
}

// TestSlowReader is dropped and counted, and holds nobody up.
func TestSlowReader(t *testing.T) {
	h := open(t, "unix")
	watch, err := h.client.Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for range 200_000 { // more than all the buffers on the way hold
		h.events.Emit(appliance.Event{Kind: appliance.EventAccepted, ID: "x"})
		if h.events.Dropped() > 0 {
			break
		}
	}
	if n := h.events.Dropped(); n != 1 {
		t.Fatalf("%d readers dropped", n)
	}
	if got := h.request(t, raw("GET /metrics", "", "")); !strings.Contains(got, "\nwaxwing_event_readers_dropped_total 1\n") {
		t.Error("it is not counted in the metrics")
	}
	var last error
	for _, err := range watch {
		last = err
	}
	if e, ok := errors.AsType[*admin.Error](last); !ok {
		t.Errorf("the reader is not told: %v", e)
	}
}

func TestTooManyReaders(t *testing.T) {
	h := open(t, "unix")
	for i := range 33 {
		_, err := h.client.Events(t.Context(), "")
		e, refused := errors.AsType[*admin.Error](err)
		if refused != (i == 32) || refused && e.Status != http.StatusServiceUnavailable {
			t.Fatalf("reader %d: %v", i, err)
		}
	}
}
