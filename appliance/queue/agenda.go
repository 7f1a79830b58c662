package queue

import "container/heap"

// A waiter waits in an agenda: a destination for its mail to become due, a
// site for its pace, a turn for those before it. slot is where it keeps its
// place there, -1 if it has none.
type waiter[W any] interface {
	before(other W) bool
	slot() *int
}

// An agenda is a heap of those that wait, the first of them on top.
type agenda[W waiter[W]] struct{ list waiters[W] }

// put places w, or places it anew if what it waits for has changed.
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

// first is the one that comes first.
func (a *agenda[W]) first() (w W, ok bool) {
	if len(a.list) == 0 {
		return w, false
	}
	return a.list[0], true
}

func (a *agenda[W]) len() int { return len(a.list) }

// waiters is for package heap.
type waiters[W waiter[W]] []W

func (l waiters[W]) Len() int           { return len(l) }
func (l waiters[W]) Less(i, j int) bool { return l[i].before(l[j]) }
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
