package tlsrpt

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance/tlsrpt"
)

const (
	placeDays  = "tlsrpt/"
	placeState = "tlsrpt-state/"
	lockKey    = "tlsrpt-lock"

	batchSize  = 64 // domains between two writings of the state
	workers    = 8
	batchTime  = 10 * time.Minute
	lockTime   = batchTime + time.Minute
	lookupTime = 15 * time.Second
	// keepState is how long it is known that a day is done with. A process
	// whose clock or store hangs may still write what it counted on that day.
	keepState = 7 * 24 * time.Hour
)

func dayKey(day string) string   { return placeDays + day + "/" }
func stateKey(day string) string { return placeState + day }

// A state is how far the reports of a day are.
type state struct {
	Finished bool     `json:"finished"`
	Done     []string `json:"done,omitempty"` // domains, sorted
}

// sendDue sends the reports of the days that are over. again says that there
// was something to do, and that the next look has time.
func (r *Reporter) sendDue(ctx context.Context) (again bool) {
	days, err := r.listDays(ctx)
	if err != nil {
		r.say("the days to report TLS of cannot be listed", "", err)
		return true
	}
	now := time.Now()
	for _, day := range days {
		began, err := time.Parse(time.DateOnly, day)
		due := began.Add(24*time.Hour + r.jitter)
		if err != nil || now.Before(due) {
			continue
		}
		again = true
		if err := r.sendDay(ctx, began, now.After(due.Add(retryTime))); err != nil {
			r.say("reports of TLS wait for another attempt", day, err)
		}
	}
	r.tidy(ctx, now)
	return again
}

func (r *Reporter) say(what, day string, err error) {
	if !errors.Is(err, context.Canceled) {
		r.log.Warn(what, zap.String("day", day), zap.Error(err))
	}
}

// listDays are the days that somebody has counted on, in order.
func (r *Reporter) listDays(ctx context.Context) ([]string, error) {
	infos, err := r.cfg.Values.List(ctx, placeDays)
	if err != nil {
		return nil, err
	}
	var days []string
	for _, i := range infos {
		day, _, _ := strings.Cut(strings.TrimPrefix(i.Key, placeDays), "/")
		days = append(days, day)
	}
	slices.Sort(days)
	return slices.Compact(days), nil
}

// sendDay sends the reports of one day, batch after batch; late gives up what
// is left. The error is nil when the day is done with.
func (r *Reporter) sendDay(ctx context.Context, day time.Time, late bool) error {
	name := day.Format(time.DateOnly)
	all, keys, err := r.load(ctx, name, "")
	if err != nil {
		return err
	}
	domains := slices.Sorted(maps.Keys(all))
	tried := make(map[string]bool, len(domains))
	for {
		left, err := r.batch(ctx, day, all, domains, tried, late)
		switch {
		case err != nil:
			return err
		case left == 0 || late:
			return r.remove(ctx, keys)
		case len(tried) == len(domains):
			return fmt.Errorf("%d domains could not be told", left)
		}
	}
}

// load merges what all processes have saved, but for the key except. A value
// that is damaged costs what was in it.
func (r *Reporter) load(ctx context.Context, day, except string) (all tally, keys []string, err error) {
	infos, err := r.cfg.Values.List(ctx, dayKey(day))
	if err != nil {
		return nil, nil, err
	}
	all = make(tally)
	for _, i := range infos {
		if i.Key == except {
			continue
		}
		b, err := r.cfg.Values.Get(ctx, i.Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another node is done with the day
		}
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, i.Key)
		var one tally
		if err := json.Unmarshal(b, &one); err != nil {
			r.log.Error("what was counted for reports of TLS is damaged, and left out", zap.String("key", i.Key), zap.Error(err))
			continue
		}
		all.merge(one)
	}
	return all, keys, nil
}

// batch tells some of the domains that nobody has told yet, under the lock,
// and returns how many are left after that. What is in tried is passed over.
func (r *Reporter) batch(ctx context.Context, day time.Time, all tally, domains []string, tried map[string]bool, late bool) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	unlock, err := r.cfg.Values.Lock(ctx, lockKey, lockTime)
	if err != nil {
		return 0, err
	}
	defer func() { err = cmp.Or(err, unlock()) }()
	key := stateKey(day.Format(time.DateOnly))
	st, err := r.state(ctx, key)
	if err != nil || st.Finished {
		return 0, err
	}
	open := slices.DeleteFunc(slices.Clone(domains), func(d string) bool {
		_, done := slices.BinarySearch(st.Done, d)
		if done {
			tried[d] = true
		}
		return done
	})
	if late {
		if len(open) > 0 {
			r.log.Warn("reports of TLS are given up", zap.Time("day", day), zap.Int("domains", len(open)))
			r.met.reports.WithLabelValues(resultGivenUp).Add(float64(len(open)))
		}
		return len(open), r.keep(ctx, key, &state{Finished: true})
	}
	next := slices.DeleteFunc(slices.Clone(open), func(d string) bool { return tried[d] })
	next = next[:min(len(next), batchSize)]
	for _, d := range next {
		tried[d] = true
	}
	told := r.tellAll(ctx, day, all, next)
	st.Done = append(st.Done, told...)
	slices.Sort(st.Done)
	if left = len(open) - len(told); left == 0 {
		st = &state{Finished: true}
	}
	// Whoever has been told has been told, also if we stop now.
	return left, r.keep(context.WithoutCancel(ctx), key, st)
}

func (r *Reporter) state(ctx context.Context, key string) (*state, error) {
	b, err := r.cfg.Values.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return new(state), nil
	}
	if err != nil {
		return nil, err
	}
	st := new(state)
	if err := json.Unmarshal(b, st); err != nil {
		r.log.Error("which reports of TLS were sent is not known any more: no more are, of that day", zap.String("key", key), zap.Error(err))
		return &state{Finished: true}, nil
	}
	return st, nil
}

func (r *Reporter) keep(ctx context.Context, key string, st *state) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	return r.cfg.Values.Put(ctx, key, b)
}

// tellAll tells domains, several at once, and returns those that are done with.
func (r *Reporter) tellAll(ctx context.Context, day time.Time, all tally, domains []string) (done []string) {
	finished := make([]bool, len(domains))
	slots := make(chan struct{}, workers)
	var wg sync.WaitGroup
	for i, d := range domains {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			finished[i] = r.tell(ctx, r.report(day, d, all[d]))
		})
	}
	wg.Wait()
	for i, d := range domains {
		if finished[i] {
			done = append(done, d)
		}
	}
	return done
}

func (r *Reporter) report(day time.Time, domain string, results []*result) *report {
	return &report{
		Organization: r.cfg.Organization, Contact: r.cfg.From.String(), Submitter: r.cfg.From.Domain,
		Instance: r.cfg.Instance, Domain: domain, Day: day, Results: results,
	}
}

// tell sends a report to the first endpoint of its domain that takes it: RFC
// 8460, section 3 leaves it to us how many of them we try. It is false if
// another attempt may have more luck.
func (r *Reporter) tell(ctx context.Context, rep *report) (done bool) {
	endpoints, err := r.endpoints(ctx, rep.Domain)
	if err != nil {
		r.log.Debug("no report of TLS", zap.String("domain", rep.Domain), zap.Error(err))
		if done = certain(err); !done {
			r.failed(ctx)
		}
		return done
	}
	compressed, err := rep.compressed()
	if err != nil { // cannot be: it is strings and numbers
		r.log.Error("a report of TLS cannot be made", zap.String("domain", rep.Domain), zap.Error(err))
		return true
	}
	for _, e := range endpoints {
		if err = r.deliver(ctx, rep, e, compressed); err == nil {
			r.met.reports.WithLabelValues(resultSent).Inc()
			r.log.Info("a report of TLS was sent", zap.String("domain", rep.Domain), zap.Stringer("to", e), zap.String("report", rep.id()))
			return true
		}
		if ctx.Err() == nil {
			r.log.Warn("a report of TLS was not taken", zap.String("domain", rep.Domain), zap.Stringer("to", e), zap.Error(err))
		}
	}
	r.failed(ctx)
	return false
}

// failed counts an attempt that was in vain, unless it is us who have ended it.
func (r *Reporter) failed(ctx context.Context) {
	if ctx.Err() == nil {
		r.met.reports.WithLabelValues(resultFailed).Inc()
	}
}

func (r *Reporter) endpoints(ctx context.Context, domain string) ([]tlsrpt.Endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	texts, err := r.cfg.Resolver.LookupTXT(ctx, tlsrpt.RecordName(domain)+".")
	if err != nil {
		return nil, err
	}
	return tlsrpt.ParseRecords(texts)
}

// certain says that a domain wants no report, as opposed to that it cannot be
// found out now.
func certain(err error) bool {
	de, ok := errors.AsType[*net.DNSError](err)
	return errors.Is(err, tlsrpt.ErrNoRecord) || errors.Is(err, tlsrpt.ErrRecord) || ok && de.IsNotFound && !de.IsTemporary && !de.IsTimeout
}

var errNoPost = errors.New("nothing here takes messages")

func (r *Reporter) deliver(ctx context.Context, rep *report, to tlsrpt.Endpoint, compressed []byte) error {
	if to.URL != nil {
		return r.cfg.Upload(ctx, to.URL, compressed)
	}
	if r.cfg.Post == nil {
		return errNoPost
	}
	l := &letter{report: rep, to: to.Mailbox, now: time.Now(), bytes: compressed}
	_, err := r.cfg.Post(ctx, l.envelope(), l.header(), l.body())
	return err
}

// remove deletes what is done with.
func (r *Reporter) remove(ctx context.Context, keys []string) error {
	for _, k := range keys {
		if err := r.cfg.Values.Delete(ctx, k); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tidy deletes states that nobody asks for any more.
func (r *Reporter) tidy(ctx context.Context, now time.Time) {
	infos, err := r.cfg.Values.List(ctx, placeState)
	if err != nil {
		r.say("old states of the reports of TLS cannot be listed", "", err)
		return
	}
	var old []string
	for _, i := range infos {
		if day := strings.TrimPrefix(i.Key, placeState); day < dayOf(now.Add(-keepState)) {
			old = append(old, i.Key)
		}
	}
	if err := r.remove(ctx, old); err != nil {
		r.say("old states of the reports of TLS cannot be deleted", "", err)
	}
}
