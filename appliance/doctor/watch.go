package doctor

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Watch looks at what the DNS says again and again: names and addresses, the
// records of each domain, blocklists. Somebody edits a zone, and mail is lost
// in silence; the watch says so within the hour.
//
// Every deliverability.watch it makes the examinations that ask the DNS. What
// they found is in two places: the gauge waxwing_dns_check_ok, 0 for what has
// failed and 1 for the rest, by domain and record; and the log, a line for each
// change, which the webhook gets as well.
//
//	ok → warn, fail     a warning with what to do
//	fail → warn, ok     a note
//	skipped             nothing: what cannot be found out is as it was
//
// A change is said when two looks, two minutes apart, have found the same: name
// servers that are being changed say now this and now that. What has been said
// is kept in the store, so that a restart does not repeat it.
//
// The first look is a minute or two after the start. With mode = "capture", or
// watch = "0s", there is none.
type Watch struct {
	o     WatchOptions
	state state
	ok    *prometheus.GaugeVec
	last  prometheus.Gauge

	again  chan struct{} // the configuration has changed
	cancel context.CancelFunc
	joined sync.WaitGroup
}

// WatchOptions is what a [Watch] needs.
type WatchOptions struct {
	Subject   func() *Subject       // as the configuration is now; for each look a new one
	Values    appliance.Values      // where to keep what has been said
	Metrics   prometheus.Registerer // nil measures for nobody
	Log       *zap.Logger
	Transport http.RoundTripper // to the webhook; nil is the usual one
}

// When the watch looks.
const (
	firstLook   = time.Minute     // after the start, and up to as much again
	confirmTime = 2 * time.Minute // after a change
	idleTime    = time.Hour       // to see whether there is something to watch now
)

// StartWatch begins to watch. Stop must be called.
func StartWatch(o WatchOptions) *Watch {
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	w := &Watch{o: o, again: make(chan struct{}, 1)}
	w.ok = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "waxwing_dns_check_ok",
		Help: "Whether what the DNS says is what mail from here needs (1), or has failed in the check-up (0). A ptr or blocklist has an address as its domain.",
	}, []string{"domain", "record"})
	w.last = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "waxwing_dns_check_timestamp_seconds", Help: "When the DNS was looked at last, in seconds since 1970.",
	})
	if o.Metrics != nil {
		o.Metrics.MustRegister(w.ok, w.last)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.joined.Go(func() { w.run(ctx) })
	return w
}

// Reloaded has the watch look soon: domains and addresses may be others now.
func (w *Watch) Reloaded() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// Stop ends the watch, and what it is just looking at.
func (w *Watch) Stop() {
	w.cancel()
	w.joined.Wait()
}

func (w *Watch) run(ctx context.Context) {
	w.state = w.load(ctx)
	w.show()
	timer := time.NewTimer(firstLook + rand.N(firstLook))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.again:
			timer.Reset(firstLook + rand.N(firstLook))
		case <-timer.C:
			timer.Reset(w.look(ctx))
		}
	}
}

// look looks once and says what has changed. It returns when to look again.
func (w *Watch) look(ctx context.Context) time.Duration {
	s := w.o.Subject()
	every := s.Settings.Deliverability.Watch
	if every == 0 || s.captures() {
		w.state = state{}
		w.show()
		return idleTime
	}
	var groups []appliance.Finding
	for _, g := range s.records() { // one after the other: there is no hurry, and there may be many domains
		groups = append(groups, Run(ctx, []Group{g})...)
	}
	if ctx.Err() != nil {
		return every
	}
	changes, unsure := w.state.take(groups, s.Now())
	if len(s.seen(ctx).errs) == 0 {
		w.state.forget(groups)
	} // else what is not there may be an address that is not known for a moment
	w.last.Set(float64(s.Now().Unix()))
	w.show()
	w.save(ctx)
	for _, c := range changes {
		c.log(w.o.Log)
	}
	if len(changes) > 0 {
		w.post(ctx, s, changes)
	}
	if unsure {
		return confirmTime
	}
	return every + rand.N(every/5) - every/10
}

// show sets the gauges.
func (w *Watch) show() {
	w.ok.Reset()
	for k, one := range w.state {
		switch one.Told {
		case "":
		case appliance.FoundFail:
			w.ok.WithLabelValues(k.Domain, k.Record).Set(0)
		default:
			w.ok.WithLabelValues(k.Domain, k.Record).Set(1)
		}
	}
}

// A key is a record of a domain. All that is found of it is one thing: what
// counts is the worst.
type key struct {
	Domain string `json:"domain"`
	Record string `json:"record"`
}

// state is how each record stood.
type state map[key]standing

// A standing is how something stood.
type standing struct {
	Told  appliance.Standing `json:"told,omitempty"` // what has been said; "" is nothing yet
	Since time.Time          `json:"since,omitzero"` // when that was
	Seen  appliance.Standing `json:"seen"`           // at the last look
}

// A change is one that has been seen twice.
type change struct {
	Was appliance.Standing `json:"was,omitempty"`
	appliance.Finding
}

// take takes the findings of a look. changes are those to tell; unsure says
// that some have to be seen again first.
func (st state) take(groups []appliance.Finding, now time.Time) (changes []change, unsure bool) {
	seen := worstOfEach(groups)
	for _, f := range seen {
		k := key{f.Domain, f.Record}
		one, known := st[k]
		switch {
		case f.Status == appliance.FoundSkipped:
			continue
		case !known && f.Status == appliance.FoundOK:
			one.Told, one.Since = f.Status, now
		case one.Told == f.Status: // nothing new
		case one.Seen != f.Status:
			unsure = true
		default:
			changes = append(changes, change{one.Told, f})
			one.Told, one.Since = f.Status, now
		}
		one.Seen = f.Status
		st[k] = one
	}
	return changes, unsure
}

// forget drops what a look was not about, as what the configuration no longer
// has.
func (st state) forget(groups []appliance.Finding) {
	seen := worstOfEach(groups)
	maps.DeleteFunc(st, func(k key, _ standing) bool { return !slices.ContainsFunc(seen, k.is) })
}

func (k key) is(f appliance.Finding) bool { return k == key{f.Domain, f.Record} }

// worstOfEach is the worst finding of each record, in their order. One that is
// well as far as is known, but not known in full, is skipped.
func worstOfEach(groups []appliance.Finding) (all []appliance.Finding) {
	for _, f := range leaves(groups) {
		i := slices.IndexFunc(all, key{f.Domain, f.Record}.is)
		switch {
		case i < 0:
			all = append(all, f)
		case f.Status == appliance.FoundSkipped && all[i].Status == appliance.FoundOK,
			f.Status != appliance.FoundOK && worst(f.Status, all[i].Status):
			all[i] = f
		}
	}
	return all
}

// leaves are the findings about records, without parts.
func leaves(all []appliance.Finding) (found []appliance.Finding) {
	for _, f := range all {
		if len(f.Parts) == 0 && f.Record != "" {
			found = append(found, f)
		}
		found = append(found, leaves(f.Parts)...)
	}
	return found
}

// log writes a change.
func (c *change) log(log *zap.Logger) {
	fields := []zap.Field{
		zap.String("domain", c.Domain), zap.String("record", c.Record),
		zap.String("status", string(c.Status)), zap.String("was", string(c.Was)), zap.String("found", c.Text),
	}
	if c.Status == appliance.FoundOK {
		log.Info("the DNS is well again: "+c.Name, fields...)
		return
	}
	log.Warn("the DNS is not what mail from here needs: "+c.Name, append(fields, zap.String("advice", c.Fix))...)
}

// sorted are the keys of a state.
func (st state) sorted() []key {
	return slices.SortedFunc(maps.Keys(st), func(a, b key) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Record, b.Record))
	})
}
