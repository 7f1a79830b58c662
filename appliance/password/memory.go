package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync/atomic"
	"time"
)

// rememberFor is how long a password that was right is known without hashing
// it, counted from the time when it was hashed. Uses do not prolong it: what a
// program logs in with all day is still hashed every five minutes.
const rememberFor = 5 * time.Minute

// A memory holds the last password that was right, for rememberFor, or
// nothing. There is one for each hash, so that memories need as much room as
// there are users and no more.
type memory struct{ last atomic.Pointer[remembered] }

// remembered is an HMAC of a password under a random key that is made for it
// alone. While it lasts, who can read the memory of this process guesses the
// password as fast as an HMAC is computed; the password itself went through
// the same memory when the user logged in.
type remembered struct{ key, mac [sha256.Size]byte }

// remember replaces what was remembered before.
func (m *memory) remember(password string) {
	r := new(remembered)
	_, _ = rand.Read(r.key[:]) // never fails
	r.mac = r.macOf(password)
	m.last.Store(r)
	time.AfterFunc(rememberFor, func() { m.last.CompareAndSwap(r, nil) })
}

// forget ends what is remembered.
func (m *memory) forget() { m.last.Store(nil) }

// recalls says whether password was right a moment ago. It does the same work
// where nothing is remembered.
func (m *memory) recalls(password string) bool {
	r := m.last.Load()
	known := r != nil
	if !known {
		r = new(remembered)
	}
	mac := r.macOf(password)
	return hmac.Equal(mac[:], r.mac[:]) && known
}

func (r *remembered) macOf(password string) (mac [sha256.Size]byte) {
	h := hmac.New(sha256.New, r.key[:])
	h.Write([]byte(password))
	h.Sum(mac[:0])
	return mac
}
