package resolver

import (
	"container/list"
	"time"
)

// How long an answer is kept at most, whatever it says.
const (
	maxPositive = 24 * time.Hour
	maxNegative = 15 * time.Minute
	// RFC 9520, section 3.2: "resolution failures MUST be cached for at least
	// 1 second".
	failureTime = 5 * time.Second
)

// A cache remembers results, no more than fit. Whoever uses it has a lock.
type cache struct {
	limit, used int // octets
	entries     map[question]*list.Element
	order       *list.List // of *cached, the one used last in front
}

type cached struct {
	question question
	result   result
	expires  time.Time
	size     int
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: make(map[question]*list.Element), order: list.New()}
}

// get returns what is remembered and not too old.
func (c *cache) get(q question) (result, bool) {
	e, ok := c.entries[q]
	if !ok {
		return result{}, false
	}
	held := e.Value.(*cached)
	if !time.Now().Before(held.expires) {
		c.remove(e)
		return result{}, false
	}
	c.order.MoveToFront(e)
	return held.result, true
}

// put remembers a result for as long as it wants to be kept.
func (c *cache) put(q question, r result) {
	if e, ok := c.entries[q]; ok {
		c.remove(e)
	}
	size := r.size() + 2*len(q.name)
	if r.keep <= 0 || size > c.limit/8 {
		return // one answer does not displace all the others
	}
	c.entries[q] = c.order.PushFront(&cached{q, r, time.Now().Add(r.keep), size})
	for c.used += size; c.used > c.limit; {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	held := c.order.Remove(e).(*cached)
	delete(c.entries, held.question)
	c.used -= held.size
}
