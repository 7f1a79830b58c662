package appliance

import (
	"errors"
	"fmt"
	"slices"
)

// A Graph is a configuration: the settings and the instances of one file,
// with every reference bound. The config package makes it; an [Appliance]
// runs it.
type Graph struct {
	Settings Settings
	// In dependency order: a node stands after everything it refers to.
	Nodes []*Node
}

// A Node is one block of the file, and the instance it became. Exactly one of
// Module and Pipeline is set.
type Node struct {
	Addr     Addr
	Type     string // "mx"; "" for a pipeline
	Module   Module
	Pipeline *Pipeline
	Deps     []Addr // what it refers to, in the order of the file
	// Equal fingerprints mean that the instances are interchangeable: the
	// blocks, the settings they depend on, and all their dependencies say the
	// same.
	Fingerprint string

	provisioned, started bool
	metrics              *instanceMetrics
}

// Node returns the node with the address, or nil.
func (g *Graph) Node(a Addr) *Node {
	for _, n := range g.Nodes {
		if n.Addr == a {
			return n
		}
	}
	return nil
}

// Pipelines returns the pipelines in the order of the file.
func (g *Graph) Pipelines() []*Node { return g.of(KindPipeline) }

func (g *Graph) of(kind Kind) []*Node {
	var all []*Node
	for _, n := range g.Nodes {
		if n.Addr.Kind == kind {
			all = append(all, n)
		}
	}
	return all
}

// An InstanceError is a failure of one instance on its way to running. The
// config package turns it into a diagnostic that shows the block, and the
// attribute if the error is an [AttrError].
type InstanceError struct {
	Addr Addr
	Err  error
}

func (e *InstanceError) Error() string { return e.Addr.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *InstanceError) Unwrap() error { return e.Err }

// A ProvisionError joins an [InstanceError] for each instance that could not be
// made ready: the configuration is to blame, or a file that it names, and
// "waxwing validate" finds the same.
type ProvisionError struct{ Errs []error }

func (e *ProvisionError) Error() string { return errors.Join(e.Errs...).Error() }

// Unwrap returns the causes.
func (e *ProvisionError) Unwrap() []error { return e.Errs }

// Action is what a reload does to an instance or a setting.
type Action string

// The actions of a reload.
const (
	ActionKeep    Action = "keep"
	ActionStart   Action = "start"
	ActionReplace Action = "replace"
	ActionStop    Action = "stop"
	ActionChange  Action = "change" // of a setting, while everything runs on
)

// A Step is one line of the plan of a reload.
type Step struct {
	Action Action `json:"action"`
	Addr   string `json:"address"`          // of an instance; "queue.classes" is a setting
	Type   string `json:"type,omitempty"`   // of an instance, or "setting"
	Reason string `json:"reason,omitempty"` // why an instance is replaced
}

// Diff is the plan of a reload from g to next: what "waxwing reload --plan"
// prints and what [Appliance.Reload] does. Steps stand in the order of next,
// then what is stopped in the order of g.
func (g *Graph) Diff(next *Graph) []Step {
	var steps []Step
	for _, n := range next.Nodes {
		s := Step{Addr: n.Addr.String(), Type: n.Type}
		switch old := g.Node(n.Addr); {
		case old == nil:
			s.Action = ActionStart
		case old.Fingerprint == n.Fingerprint:
			s.Action = ActionKeep
		default:
			s.Action, s.Reason = ActionReplace, next.reason(old, n, g)
		}
		steps = append(steps, s)
	}
	for _, n := range g.Nodes {
		if next.Node(n.Addr) == nil {
			steps = append(steps, Step{Action: ActionStop, Addr: n.Addr.String(), Type: n.Type})
		}
	}
	return steps
}

// reason says why n replaces old: a dependency that changed, or the block.
func (g *Graph) reason(old, n *Node, before *Graph) string {
	if old.Type != n.Type {
		return fmt.Sprintf("type was %q", old.Type)
	}
	if slices.Equal(old.Deps, n.Deps) {
		for _, dep := range n.Deps {
			was, is := before.Node(dep), g.Node(dep)
			if was != nil && is != nil && was.Fingerprint != is.Fingerprint {
				return fmt.Sprintf("%s changes", dep)
			}
		}
	}
	return "its block, or a setting it depends on, changes"
}
