package mtasts

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
)

// How long an answer is good.
const (
	// checkEvery is how long nothing is asked again about a domain. RFC 8461,
	// section 3.3 wants at least five minutes after a fetch that failed.
	checkEvery = 10 * time.Minute
	// troubleEvery is checkEvery when the DNS did not answer.
	troubleEvery = time.Minute
	// fetchEvery is how old a policy becomes before it is fetched again,
	// whatever its id (RFC 8461, section 10.2: "a mail-sending host … daily").
	fetchEvery = 24 * time.Hour
	// lookTime is for everything that is asked about a domain at once.
	lookTime = 45 * time.Second
)

// Limits of what is remembered in memory. What is pushed out is asked again,
// or read from the store.
const (
	maxDomains = 20_000
	maxOctets  = 32 << 20 // of the mail exchangers in policies
	// maxFetches is how many policies are fetched at the same time.
	maxFetches = 64
)

// Config is what a Cache needs.
type Config struct {
	Resolver interface {
		LookupTXT(ctx context.Context, name string) ([]string, error)
	}
	// Fetch is [Fetcher.Fetch].
	Fetch func(ctx context.Context, domain string) (*mtasts.Policy, error)
	// Values keeps policies; nil keeps them in memory alone.
	Values appliance.Values
	Log    *zap.Logger
}

// A Cache knows the policies of domains.
//
// In the store there is room for 20,000 of them. When it is used up, those go
// that have expired and those that do not enforce; then those that nobody has
// sent to for a week, with a line in the log for each. If there is none of
// these either, new policies are kept in memory only, and the log says so:
// whoever makes us send to thousands of domains of his own does not make us
// forget those of others.
type Cache struct {
	cfg   Config
	log   *zap.Logger
	shelf shelf
	slots chan struct{}

	mu      sync.Mutex
	memory  memory
	stopped bool
	work    sync.WaitGroup // looks
	life    context.Context
	cut     context.CancelFunc
}

// NewCache returns a Cache that has asked nobody yet.
func NewCache(cfg Config) *Cache {
	c := &Cache{cfg: cfg, log: cmp.Or(cfg.Log, zap.NewNop()), slots: make(chan struct{}, maxFetches)}
	c.shelf = shelf{values: cfg.Values, log: c.log}
	c.memory.init()
	c.life, c.cut = context.WithCancel(context.Background())
	return c
}

// Stop ends what is under way and returns when it has ended.
func (c *Cache) Stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cut()
	c.work.Wait()
}

// An Answer is what is known of a domain.
type Answer struct {
	Policy  *mtasts.Policy // nil: none is in force. Not to be changed
	ID      string         // of the policy
	Expires time.Time      // when it ceases to be in force
	// Err is why there is no policy, or why the one we have could not be
	// brought up to date. It wraps ErrFetch, an error of package
	// appliance/mtasts or one of the DNS.
	Err error
}

var errStopped = errors.New("MTA-STS policies are not looked up any more")

// Policy returns what is in force for a domain, in lower case and A-labels. It
// waits if nothing is known yet. The error means that it cannot be known
// now: ctx has ended, or the store cannot be read. Then no mail may go.
func (c *Cache) Policy(ctx context.Context, domain string) (Answer, error) {
	e, err := c.ask(domain)
	if err != nil {
		return Answer{}, err
	}
	c.mu.Lock()
	answer, ready := e.answer(time.Now()), e.ready
	c.mu.Unlock()
	if answer.Policy != nil {
		return answer, nil // whoever looks goes on without us
	}
	select {
	case <-ready:
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.answer(time.Now()), e.trouble
}

// ask returns the entry of a domain, after it has begun a look if it is time
// for one.
func (c *Cache) ask(domain string) (*entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil, errStopped
	}
	e := c.memory.entry(domain, time.Now())
	if !e.busy && !time.Now().Before(e.next) {
		e.busy, e.ready, e.trouble = true, make(chan struct{}), nil
		c.work.Go(func() { c.look(e) })
	}
	return e, nil
}
