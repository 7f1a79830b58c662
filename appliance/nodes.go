package appliance

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// What is done to many nodes at once, in the order of their graph or against
// it.

func isListener(n *Node) bool  { return n.Addr.Kind == KindListener }
func notListener(n *Node) bool { return !isListener(n) }

func filter(nodes []*Node, match func(*Node) bool) []*Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return !match(n) })
}

// without returns the nodes that are not in other.
func without(nodes, other []*Node) []*Node {
	return filter(nodes, func(n *Node) bool { return !slices.Contains(other, n) })
}

// storeFirst moves the store, which every module may use, to the front.
func storeFirst(nodes []*Node) []*Node {
	isStore := func(n *Node) bool { return n.Addr.Kind == KindStore }
	return append(filter(nodes, isStore), filter(nodes, func(n *Node) bool { return !isStore(n) })...)
}

// startNodes starts those that match, in order, until one fails.
func startNodes(ctx context.Context, nodes []*Node, match func(*Node) bool) error {
	for _, n := range nodes {
		s, ok := n.Module.(Starter)
		if !ok || n.started || !match(n) {
			continue
		}
		if err := s.Start(ctx); err != nil {
			return &InstanceError{n.Addr, err}
		}
		n.started = true
	}
	return nil
}

// stopNodes stops what runs, in reverse order; listeners all at once, since
// each waits for its sessions.
func stopNodes(ctx context.Context, nodes []*Node) error {
	var mu sync.Mutex
	var all []error
	var listeners sync.WaitGroup
	stop := func(n *Node) {
		if err := n.Module.(Starter).Stop(ctx); err != nil {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, &InstanceError{n.Addr, err})
		}
	}
	for _, n := range slices.Backward(nodes) {
		if n.Module == nil || !n.started {
			continue
		}
		n.started = false
		if isListener(n) {
			listeners.Go(func() { stop(n) })
		} else {
			stop(n)
		}
	}
	listeners.Wait()
	return errors.Join(all...)
}

// closeNodes closes what was provisioned, in reverse order.
func closeNodes(nodes []*Node) error {
	var all []error
	for _, n := range slices.Backward(nodes) {
		if c, ok := n.Module.(io.Closer); ok && n.provisioned {
			if err := c.Close(); err != nil {
				all = append(all, &InstanceError{n.Addr, err})
			}
		}
		n.provisioned = false
	}
	return errors.Join(all...)
}
