package config

import (
	"fmt"
	"regexp"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An instance is a block on its way to becoming a node of the graph.
type instance struct {
	addr     appliance.Addr
	typ      string
	block    *hclsyntax.Block // nil for an implicit block
	body     *hclsyntax.Body  // of block, or an empty one
	target   any              // appliance.Module or *appliance.Pipeline, holding the defaults
	schema   *schema
	preset   string // the path of the implicit store
	refs     map[refKey][]*instance
	deps     []*instance // what the references are bound to, in the order of the file
	named    []*instance // what the file refers to; more than deps in capture mode
	failed   bool        // an error of its own, or of something it refers to
	visiting bool        // the search for an order is in it
	node     *appliance.Node
}

// A refKey names a Ref field in one body, be it that of a block or of a block
// within.
type refKey struct {
	body *hclsyntax.Body
	name string
}

// heading is the block as its first line says it.
func (n *instance) heading() string {
	if n.addr.Kind == appliance.KindPipeline {
		return fmt.Sprintf("%s %q", n.addr.Kind, n.addr.Name)
	}
	return fmt.Sprintf("%s %q %q", n.addr.Kind, n.typ, n.addr.Name)
}

// header is the place of the first line.
func (n *instance) header() place {
	if n.block == nil {
		return place{}
	}
	return place{span: spanOf(n.block.DefRange())}
}

// running is the instance that references are bound to.
func (n *instance) running() any {
	switch {
	case n.node == nil:
		return n.target
	case n.node.Pipeline != nil:
		return n.node.Pipeline
	}
	return n.node.Module
}

// validName keeps names usable in addresses, in file names and in keys of the
// store, and free of surprises in a log.
var validName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)

func isKind(word string) bool {
	return appliance.Kind(word).Role() != nil || word == string(appliance.KindPipeline)
}

// kindWords lists the kinds as they are written.
func kindWords() []string {
	var all []string
	for _, k := range appliance.Kinds() {
		all = append(all, string(k))
	}
	return append(all, string(appliance.KindPipeline))
}
