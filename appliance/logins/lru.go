package logins

import (
	"container/list"
	"iter"
)

// An lru is a map that holds at most max entries: the one that was not used
// for the longest time makes room.
type lru[K comparable, V any] struct {
	max   int
	index map[K]*list.Element
	order list.List // of *entry[K, V], the one used last in front
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](most int) *lru[K, V] {
	return &lru[K, V]{max: most, index: make(map[K]*list.Element)}
}

// peek returns the entry, or nil. It does not count as use.
func (l *lru[K, V]) peek(key K) *V {
	if e := l.index[key]; e != nil {
		return &e.Value.(*entry[K, V]).value
	}
	return nil
}

// touch returns the entry, which is new and zero if there was none.
func (l *lru[K, V]) touch(key K) *V {
	if e := l.index[key]; e != nil {
		l.order.MoveToFront(e)
		return &e.Value.(*entry[K, V]).value
	}
	if len(l.index) >= l.max {
		l.drop(l.order.Back().Value.(*entry[K, V]).key)
	}
	e := &entry[K, V]{key: key}
	l.index[key] = l.order.PushFront(e)
	return &e.value
}

func (l *lru[K, V]) drop(key K) {
	if e := l.index[key]; e != nil {
		l.order.Remove(e)
		delete(l.index, key)
	}
}

// all yields the entries, the one used last first. Entries may be dropped
// meanwhile.
func (l *lru[K, V]) all() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for e := l.order.Front(); e != nil; {
			next := e.Next()
			if x := e.Value.(*entry[K, V]); !yield(x.key, &x.value) {
				return
			}
			e = next
		}
	}
}
