package admin

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of the live view.
const (
	maxReaders  = 32   // at a time
	eventBuffer = 1024 // events a reader may be behind
)

// Events hands events to those who watch. It is an [appliance.EventSink] that
// never waits: a reader that falls behind is dropped and counted. The zero
// Events is ready for use.
type Events struct {
	mu      sync.Mutex
	readers map[*reader]struct{}
	dropped atomic.Uint64
}

var (
	_ appliance.EventSink  = (*Events)(nil)
	_ prometheus.Collector = (*Events)(nil)
)

// A reader is one who watches. events is closed when it was dropped.
type reader struct {
	id     appliance.QueueID // "" is every message
	events chan appliance.Event
}

// Emit implements appliance.EventSink.
func (h *Events) Emit(e appliance.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.readers {
		if r.id != "" && r.id != e.ID {
			continue
		}
		select {
		case r.events <- e:
		default:
			delete(h.readers, r)
			close(r.events)
			h.dropped.Add(1)
		}
	}
}

// Dropped is how many readers were too slow.
func (h *Events) Dropped() uint64 { return h.dropped.Load() }

var (
	readersDesc = prometheus.NewDesc("waxwing_event_readers", "Programs that watch events.", nil, nil)
	droppedDesc = prometheus.NewDesc("waxwing_event_readers_dropped_total", "Programs that watched events and were too slow.", nil, nil)
)

// Describe implements prometheus.Collector.
func (*Events) Describe(descs chan<- *prometheus.Desc) {
	descs <- readersDesc
	descs <- droppedDesc
}

// Collect implements prometheus.Collector.
func (h *Events) Collect(metrics chan<- prometheus.Metric) {
	h.mu.Lock()
	readers := len(h.readers)
	h.mu.Unlock()
	metrics <- prometheus.MustNewConstMetric(readersDesc, prometheus.GaugeValue, float64(readers))
	metrics <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(h.Dropped()))
}

// watch returns a reader, or false if there are too many.
func (h *Events) watch(id appliance.QueueID) (*reader, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readers) >= maxReaders {
		return nil, false
	}
	if h.readers == nil {
		h.readers = make(map[*reader]struct{})
	}
	r := &reader{id: id, events: make(chan appliance.Event, eventBuffer)}
	h.readers[r] = struct{}{}
	return r, true
}

func (h *Events) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}
