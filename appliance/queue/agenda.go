package queue

import (
	"container/heap"
	"time"
)

// A waiter waits for a time: a destination for its mail to become due, a site
// for its next delivery. slot is where it keeps its place, -1 if it waits for
// nothing.
type waiter interface {
	when() time.Time
	slot() *int
}

// An agenda is a heap of those that wait, the first in time on top.
type agenda[W waiter] struct{ list waiters[W] }

// put places w by its time.
func (a *agenda[W]) put(w W) {
	if i := *w.slot(); i >= 0 {
		heap.Fix(&a.list, i)
		return
	}
	heap.Push(&a.list, w)
}

func (a *agenda[W]) remove(w W) {
	if i := *w.slot(); i >= 0 {
		heap.Remove(&a.list, i)
	}
}

// first is the one whose time comes first.
func (a *agenda[W]) first() (w W, ok bool) {
	if len(a.list) == 0 {
		return w, false
	}
	return a.list[0], true
}

// waiters is for package heap.
type waiters[W waiter] []W

func (l waiters[W]) Len() int           { return len(l) }
func (l waiters[W]) Less(i, j int) bool { return l[i].when().Before(l[j].when()) }
func (l waiters[W]) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	*l[i].slot(), *l[j].slot() = i, j
}

// Push implements heap.Interface.
func (l *waiters[W]) Push(x any) {
	w := x.(W)
	*w.slot() = len(*l)
	*l = append(*l, w)
}

// Pop implements heap.Interface.
func (l *waiters[W]) Pop() any {
	old := *l
	w := old[len(old)-1]
	var none W
	old[len(old)-1] = none
	*l, *w.slot() = old[:len(old)-1], -1
	return w
}
