package dkim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// A world is a store, the name servers of example.com, and a queue: what
// outlives a signer.
type world struct {
	*net.Resolver // never asked
	t             *testing.T
	values        valuestest.Values
	logs          *observer.ObservedLogs
	log           *zap.Logger
	hangs         atomic.Bool // the DNS does

	mu      sync.Mutex
	servers map[string]map[string][]string // by server and name, the texts there
	down    map[string]bool                // servers that do not answer
	asked   []time.Time                    // when they were asked
	refuses error                          // of the dns block
	changes []string                       // what the dns block has done
	oldest  time.Time                      // message in the queue; zero if it is empty
	lost    error                          // of the queue
	fault   func(op string) error          // of the store; nil is none
}

var (
	_ appliance.Authority   = (*world)(nil)
	_ appliance.DNSProvider = (*world)(nil)
)

func newWorld(t *testing.T) *world {
	core, logs := observer.New(zapcore.DebugLevel)
	w := &world{
		t: t, logs: logs, log: zap.New(core), down: make(map[string]bool),
		servers: map[string]map[string][]string{"ns1.example.com": {}, "ns2.example.com": {}},
	}
	w.values.Fail = func(op, _ string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fault == nil {
			return nil
		}
		return w.fault(op)
	}
	return w
}

// AskAuthority implements appliance.Authority.
func (w *world) AskAuthority(ctx context.Context, typ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	if w.hangs.Load() {
		<-ctx.Done()
		return appliance.AuthorityAnswer{}, &net.DNSError{Err: ctx.Err().Error(), IsTemporary: true}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, time.Now())
	if typ != appliance.QueryTXT || !strings.HasSuffix(name, "._domainkey.example.com") {
		return appliance.AuthorityAnswer{}, &net.DNSError{Err: "no zone has this name", IsNotFound: true}
	}
	a := appliance.AuthorityAnswer{Zone: "example.com", Name: name}
	for i, server := range slices.Sorted(maps.Keys(w.servers)) {
		s := appliance.ServerAnswer{Server: server, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 53)}
		switch texts := w.servers[server][name]; {
		case w.down[server]:
			s.Err = &net.DNSError{Err: "no answer", Name: name, IsTemporary: true}
		case len(texts) == 0:
			s.Err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		default:
			s.Answer = appliance.DNSAnswer{Name: name, Texts: texts}
		}
		a.Servers = append(a.Servers, s)
	}
	return a, nil
}

// Provision implements appliance.Module.
func (w *world) Provision(*appliance.Context) error { return nil }

// AppendRecords implements libdns.RecordAppender.
func (w *world) AppendRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return w.change("+", zone, records, func(texts []string, text string) []string { return append(texts, text) })
}

// DeleteRecords implements libdns.RecordDeleter.
func (w *world) DeleteRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return w.change("-", zone, records, func(texts []string, text string) []string {
		return slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return t == text })
	})
}

func (w *world) change(sign, zone string, records []libdns.Record, do func(texts []string, text string) []string) ([]libdns.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuses != nil {
		return nil, w.refuses
	}
	for _, r := range records {
		name := strings.TrimSuffix(libdns.AbsoluteName(r.RR().Name, zone), ".")
		w.changes = append(w.changes, sign+name)
		for _, s := range w.servers {
			s[name] = do(s[name], r.RR().Data)
		}
	}
	return records, nil
}

// written are the changes so far.
func (w *world) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

// queued is Context.Queued.
func (w *world) queued(_ context.Context, before time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.oldest.IsZero() && w.oldest.Before(before), w.lost
}

// set changes the world.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// show puts a record on servers; hide takes the texts at a name from them.
func (w *world) show(r appliance.DNSRecord, servers ...string) {
	w.set(func() {
		for _, s := range servers {
			w.servers[s][r.Name] = []string{r.Value}
		}
	})
}

func (w *world) hide(name string, servers ...string) {
	w.set(func() {
		for _, s := range servers {
			delete(w.servers[s], name)
		}
	})
}

var both = []string{"ns1.example.com", "ns2.example.com"}

// start starts a signer of this world.
func (w *world) start(change ...func(*DKIM)) *DKIM {
	w.t.Helper()
	d, err := w.try(change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) try(change ...func(*DKIM)) (*DKIM, error) {
	d := configured(append([]func(*DKIM){func(d *DKIM) { d.Algorithms = []string{Ed25519} }}, change...)...)
	ctx := &appliance.Context{
		Addr: appliance.Addr{Kind: appliance.KindSigner, Name: "example"}, Log: w.log, Hostname: "mail.example.com",
		Values: &w.values, Resolver: w, Queued: w.queued,
	}
	if err := errors.Join(d.Validate(), d.Provision(ctx)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { check(w.t, d.Stop(context.Background())) })
	return d, d.Start(w.t.Context())
}

// publishes has the dns block of the world publish.
func (w *world) publishes(d *DKIM) {
	d.Publish = appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, w)
}

// said counts the log lines that hold a text.
func (w *world) said(text string) int {
	n := 0
	for _, e := range w.logs.All() {
		if strings.Contains(e.Message, text) {
			n++
		}
	}
	return n
}

// states are the keys in short: "current waxwing-ed25519, next waxwing-ed25519-20000110".
func states(d *DKIM) string {
	var all []string
	for _, k := range d.SigningKeys() {
		all = append(all, fmt.Sprint(k.State, " ", k.Selector))
	}
	return strings.Join(all, ", ")
}

func (w *world) want(d *DKIM, want string) {
	w.t.Helper()
	if got := states(d); got != want {
		w.t.Errorf("%s: %s, want %s", time.Now().UTC().Format(time.DateTime), got, want)
	}
}

// waits is what the key with a selector waits for.
func waits(d *DKIM, selector string) string { return key(d, selector).Waits }

func key(d *DKIM, selector string) appliance.SigningKey {
	for _, k := range d.SigningKeys() {
		if k.Selector == selector {
			return k
		}
	}
	return appliance.SigningKey{}
}

// wantWaits compares what a key waits for with the beginning of a text.
func (w *world) wantWaits(d *DKIM, selector, want string) {
	w.t.Helper()
	if got := waits(d, selector); !strings.HasPrefix(got, want) {
		w.t.Errorf("%s: %s waits for %q, want %q", time.Now().UTC().Format(time.DateTime), selector, got, want)
	}
}

// selectors are those that sign a message now.
func (w *world) selectors(d *DKIM) string {
	w.t.Helper()
	tx := parse(w.t, plainMail)
	if err := d.Modify(w.t.Context(), tx); err != nil {
		w.t.Error(err)
	}
	var all []string
	for _, v := range tx.Message.Header.Values("DKIM-Signature") {
		_, rest, _ := strings.Cut(strings.Join(strings.Fields(v), " "), " s=")
		name, _, _ := strings.Cut(rest, ";")
		all = append(all, name)
	}
	return strings.Join(all, " ")
}
