package mtasts

import (
	"container/list"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/mtasts"
)

// A record is a policy as it is kept in the store.
type record struct {
	Domain  string        `json:"domain"`
	ID      string        `json:"id"`
	Fetched time.Time     `json:"fetched"`
	Policy  mtasts.Policy `json:"policy"`
}

// expires is when the policy ceases to be in force. What has just been fetched
// is in force until somebody looks again, however short its max_age.
func (r *record) expires() time.Time { return r.Fetched.Add(max(r.Policy.MaxAge, checkEvery)) }

func (r *record) inForce(now time.Time) bool { return r != nil && now.Before(r.expires()) }

// stale says that the policy should be fetched again. A time of the future is
// that of a clock which has been put right since.
func (r *record) stale(now time.Time) bool {
	age := now.Sub(r.Fetched)
	return age < 0 || age >= fetchEvery
}

func (r *record) octets() (n int) {
	if r == nil {
		return 0
	}
	for _, mx := range r.Policy.MX {
		n += len(mx)
	}
	return n
}

// An entry is what is known of a domain in memory. It is guarded by Cache.mu.
type entry struct {
	domain  string
	loaded  bool    // the store has been asked
	known   *record // nil: none. Replaced, never changed
	unsaved bool    // known is not in the store
	err     error   // see Answer.Err
	trouble error   // the store could not be read

	next  time.Time     // when to look again
	busy  bool          // somebody looks
	ready chan struct{} // closed when there is an answer
}

func (e *entry) answer(now time.Time) Answer {
	if !e.known.inForce(now) {
		return Answer{Err: e.err}
	}
	p := e.known.Policy
	return Answer{Policy: &p, ID: e.known.ID, Expires: e.known.expires(), Err: e.err}
}

// A memory is the entries of the domains that were asked about last.
type memory struct {
	entries map[string]*list.Element
	recent  *list.List // of *entry; the one that was asked about last stands first
	octets  int
}

func (m *memory) init() {
	m.entries, m.recent = make(map[string]*list.Element), list.New()
}

// entry returns the entry of a domain, which may be a new one.
func (m *memory) entry(domain string, now time.Time) *entry {
	if el, ok := m.entries[domain]; ok {
		m.recent.MoveToFront(el)
		return el.Value.(*entry)
	}
	e := &entry{domain: domain}
	m.entries[domain] = m.recent.PushFront(e)
	m.shrink(now)
	return e
}

// set replaces the policy of an entry, which may have been pushed out while
// somebody looked.
func (m *memory) set(e *entry, r *record, now time.Time) {
	if el, ok := m.entries[e.domain]; ok && el.Value == e {
		m.octets += r.octets() - e.known.octets()
	}
	e.known = r
	m.shrink(now)
}

// shrink pushes out what has not been asked about for longest. What is in
// force and nowhere else comes last.
func (m *memory) shrink(now time.Time) {
	for len(m.entries) > maxDomains || m.octets > maxOctets && len(m.entries) > 1 {
		victim := m.recent.Back()
		for el, n := victim, 0; el != nil && n < maxSpared; el, n = el.Prev(), n+1 {
			if e := el.Value.(*entry); !e.unsaved || !e.known.inForce(now) {
				victim = el
				break
			}
		}
		m.drop(victim)
	}
}

// maxSpared bounds how many entries are passed over to find one to push out.
const maxSpared = 100

func (m *memory) drop(el *list.Element) {
	e := m.recent.Remove(el).(*entry)
	delete(m.entries, e.domain)
	m.octets -= e.known.octets()
}
