package tlsrpt

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	saveEvery = 10 * time.Minute // how much of a day a crash can cost
	saveTime  = 10 * time.Second // how long the store may take

	// Nothing is sent before restTime after midnight, when everybody has saved
	// what was counted before. RFC 8460, section 4.1: a sender delays its
	// reports at random, so that not everybody comes at midnight.
	restTime   = 30 * time.Minute
	spreadTime = 3*time.Hour + 30*time.Minute

	// RFC 8460, section 5.5: what is not taken is tried again for 24 hours.
	retryEvery = time.Hour
	retryTime  = 24 * time.Hour
)

// Config is what a Reporter needs.
type Config struct {
	Organization string            // who we are, for people
	From         appliance.Mailbox // author of mailed reports, and whom to ask
	Instance     string            // name of the relay
	Values       appliance.Values
	Resolver     interface {
		LookupTXT(ctx context.Context, name string) ([]string, error)
	}
	// Post hands in a message ([appliance.Context]); nil sends no mail.
	Post func(ctx context.Context, env appliance.Envelope, h appliance.Header, body []byte) (appliance.QueueID, error)
	// Upload is [Uploader.Upload].
	Upload  func(ctx context.Context, to *url.URL, compressed []byte) error
	Log     *zap.Logger           // nil logs nothing
	Metrics prometheus.Registerer // nil counts for nobody
}

// A Reporter counts sessions and sends reports of them, as the package comment
// says.
type Reporter struct {
	cfg    Config
	log    *zap.Logger
	met    *metrics
	id     string        // of this process in the store
	jitter time.Duration // after midnight

	mu     sync.Mutex
	days   map[string]tally // by day; usually one
	fresh  bool             // something is not saved
	over   int              // sessions there was no room for
	ended  bool
	work   sync.WaitGroup
	cut    context.CancelFunc
	stopme chan struct{}
}

// New returns a Reporter that can count. [Reporter.Start] makes it send.
func New(cfg Config) *Reporter {
	return &Reporter{
		cfg: cfg, log: cmp.Or(cfg.Log, zap.NewNop()), met: newMetrics(cfg.Metrics), id: strings.ToLower(rand.Text()),
		jitter: restTime + mathrand.N(spreadTime), days: make(map[string]tally),
		cut: func() {}, stopme: make(chan struct{}),
	}
}

// Record counts a session with a mail server of a domain, in lower case and
// A-labels; f is nil if the policy was met. It returns at once.
func (r *Reporter) Record(domain string, p Policy, f *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	day := dayOf(time.Now())
	t := r.days[day]
	if t == nil {
		t = make(tally)
		r.days[day] = t
	}
	if !t.add(domain, p, f) {
		r.over++
		r.met.sessions.WithLabelValues(sessionNoRoom).Inc()
		return
	}
	r.fresh = true
	if f == nil {
		r.met.sessions.WithLabelValues(sessionOK).Inc()
	} else {
		r.met.sessions.WithLabelValues(f.Type).Inc()
	}
}

// dayOf names the UTC day of a time. RFC 8460, section 4.1: a report covers a
// day from midnight to midnight UTC.
func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Start begins to save and to send.
func (r *Reporter) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cut = cancel
	r.work.Go(r.saver)
	r.work.Go(func() { r.sender(ctx) })
}

// Stop ends what is under way, saves, and returns when that is done. What was
// being sent is sent again later, unless its state was written.
func (r *Reporter) Stop() {
	r.mu.Lock()
	ended := r.ended
	r.ended = true
	r.mu.Unlock()
	if !ended {
		close(r.stopme)
	}
	r.cut()
	r.work.Wait()
}

func (r *Reporter) saver() {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.save()
		case <-r.stopme:
			r.save()
			return
		}
	}
}

// save writes what was counted. Days that are over are forgotten when they
// are written.
func (r *Reporter) save() {
	days, over := r.unsaved()
	if over > 0 {
		r.log.Warn("there was no room for some sessions in the reports of TLS", zap.Int("sessions", over))
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	for day, text := range days {
		if err := r.cfg.Values.Put(ctx, dayKey(day)+r.id, text); err != nil {
			r.log.Warn("what was counted for the reports of TLS cannot be saved", zap.String("day", day), zap.Error(err))
			r.mu.Lock()
			r.fresh = true
			r.mu.Unlock()
			continue
		}
		r.forget(day)
	}
}

// unsaved is what must be written, by day.
func (r *Reporter) unsaved() (days map[string][]byte, over int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	over, r.over = r.over, 0
	if !r.fresh {
		return nil, over
	}
	r.fresh = false
	days = make(map[string][]byte, len(r.days))
	for day, t := range r.days {
		text, err := json.Marshal(t)
		if err != nil { // cannot be: it is strings and numbers
			r.log.Error("what was counted for the reports of TLS cannot be written", zap.Error(err))
			continue
		}
		days[day] = text
	}
	return days, over
}

func (r *Reporter) forget(day string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if day != dayOf(time.Now()) {
		delete(r.days, day)
	}
}

// sender looks now and then whether something is due.
func (r *Reporter) sender(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var next time.Time
	for ctx.Err() == nil {
		if !time.Now().Before(next) && r.sendDue(ctx) {
			next = time.Now().Add(retryEvery)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
