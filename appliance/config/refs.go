package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A link is a reference that was found in a body.
type link struct {
	field *field
	body  *hclsyntax.Body
	to    *instance
	at    int // offset; orders the dependencies
}

// link resolves every reference of an instance.
func (l *loader) link(n *instance) {
	n.refs = make(map[refKey][]*instance)
	var links []link
	l.eachBody(n.body, n.schema, func(body *hclsyntax.Body, s *schema) {
		for _, f := range s.fields {
			if f.inner != nil || !isRefs(f.typ) {
				continue
			}
			if attr, ok := body.Attributes[f.name]; ok {
				links = append(links, l.written(n, body, f, attr)...)
			} else if f.only {
				links = append(links, l.only(n, body, f)...)
			}
		}
	})
	slices.SortStableFunc(links, func(a, b link) int { return a.at - b.at })
	for _, k := range links {
		n.named = appendNew(n.named, k.to)
		if to := l.diverted(n, k); to != nil {
			key := refKey{k.body, k.field.name}
			n.refs[key] = append(n.refs[key], to)
			n.deps = appendNew(n.deps, to)
		}
	}
}

// appendNew appends what the list does not hold yet.
func appendNew(all []*instance, n *instance) []*instance {
	if slices.Contains(all, n) {
		return all
	}
	return append(all, n)
}

// eachBody calls f for a body and all known blocks within it.
func (l *loader) eachBody(body *hclsyntax.Body, s *schema, f func(*hclsyntax.Body, *schema)) {
	f(body, s)
	for _, b := range body.Blocks {
		if inner := s.block(b.Type); inner != nil {
			l.eachBody(b.Body, inner.inner, f)
		}
	}
}

// written resolves the references of one attribute.
func (l *loader) written(n *instance, body *hclsyntax.Body, f *field, attr *hclsyntax.Attribute) []link {
	exprs := []hclsyntax.Expression{attr.Expr}
	list, isList := attr.Expr.(*hclsyntax.TupleConsExpr)
	if isList {
		exprs = list.Exprs
	}
	at := place{spanOf(attr.Expr.Range()), n.heading()}
	example := kindList(f.kinds()[:1]) + ".name"
	switch many := !isRef(f.typ); {
	case isList && !many:
		n.failed = true
		l.errorf(at, f.name+" takes one reference", "Write it without brackets: %s = %s.", f.name, example)
		return nil
	case !isList && many:
		n.failed = true
		l.errorf(at, f.name+" takes a list of references", "Write it in brackets: %s = [%s].", f.name, example)
		return nil
	}
	var all []link
	for _, e := range exprs {
		to := l.target(n, f, e)
		switch {
		case to == nil:
			n.failed = true
		case slices.ContainsFunc(all, func(k link) bool { return k.to == to }):
			n.failed = true
			l.errorf(place{spanOf(e.Range()), n.heading()}, to.addr.String()+" stands twice", "Take one of them out of %s.", f.name)
		default:
			all = append(all, link{f, body, to, e.Range().Start.Byte})
		}
	}
	return all
}

// target returns the instance that a reference names, or says why there is
// none.
func (l *loader) target(n *instance, f *field, expr hclsyntax.Expression) *instance {
	at := place{spanOf(expr.Range()), n.heading()}
	kinds := f.kinds()
	want := kindList(kinds)
	addr, ok := address(expr)
	if !ok {
		l.errorf(at, f.name+" takes a reference", "Write the kind and the name of a block of this file, without quotes: %s.%s", want, l.candidates(kinds, "name"))
		return nil
	}
	to := l.byAddr[addr]
	switch {
	case to == nil && !l.full():
		l.errorf(at, fmt.Sprintf("there is no %s", addr), "%s", l.missing(f, kinds, addr))
	case to == nil:
		l.errorf(at, "", "") // only counted
	case !slices.Contains(kinds, addr.Kind):
		l.errorf(at, fmt.Sprintf("%s is not a %s", addr, want), "%s takes %s blocks; %s is declared %s.", f.name, want, addr, l.declared(to))
		return nil
	}
	return to
}

// candidates is the name of the first block of the kinds, for an example.
func (l *loader) candidates(kinds []appliance.Kind, otherwise string) string {
	for _, n := range l.instances {
		if slices.Contains(kinds, n.addr.Kind) && n.block != nil {
			return n.addr.Name + "."
		}
	}
	return otherwise + "."
}

// missing says what could have been meant by a reference to nothing.
func (l *loader) missing(f *field, kinds []appliance.Kind, addr appliance.Addr) string {
	want := kindList(kinds)
	var known []string
	for _, n := range l.instances {
		if slices.Contains(kinds, n.addr.Kind) {
			known = append(known, n.addr.String())
		}
	}
	if best := nearest(addr.String(), known); best != "" {
		return fmt.Sprintf("%s takes %s blocks. Did you mean %s?", f.name, want, best)
	}
	const most = 10
	switch {
	case len(known) == 0:
		return fmt.Sprintf("%s takes %s blocks, and this file has none.", f.name, want)
	case len(known) > most:
		known = append(known[:most], "others")
	}
	return fmt.Sprintf("%s takes %s blocks. This file has %s.", f.name, want, list(known))
}

// declared is "on line 12".
func (l *loader) declared(n *instance) string {
	if n.block == nil {
		return "by the program itself"
	}
	return fmt.Sprintf("on line %d", l.src.line(n.header().from))
}

// address reads a bare address.
func address(expr hclsyntax.Expression) (appliance.Addr, bool) {
	e, ok := expr.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(e.Traversal) != 2 {
		return appliance.Addr{}, false
	}
	name, ok := e.Traversal[1].(hcl.TraverseAttr)
	return appliance.Addr{Kind: appliance.Kind(e.Traversal.RootName()), Name: name.Name}, ok
}

// only binds a reference that was left out to the one candidate there is.
func (l *loader) only(n *instance, body *hclsyntax.Body, f *field) []link {
	var found []*instance
	for _, other := range l.instances {
		if other != n && slices.Contains(f.kinds(), other.addr.Kind) {
			found = append(found, other)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return []link{{f, body, found[0], len(l.src.text)}}
	}
	n.failed = true
	var names []string
	for _, other := range found {
		names = append(names, fmt.Sprintf("%s (line %d)", other.addr, l.src.line(other.header().from)))
	}
	l.errorf(n.header(), fmt.Sprintf("%s: which %s?", n.addr, f.name),
		"There are %s. Name one of them: %s = %s", list(names), f.name, found[0].addr)
	return nil
}

// sort puts the instances in dependency order, in the order of the file where
// that leaves a choice.
func (l *loader) sort() []*instance {
	var order []*instance
	var path []*instance
	done := make(map[*instance]bool)
	var visit func(n *instance)
	visit = func(n *instance) {
		if done[n] {
			return
		}
		if n.visiting {
			l.cycle(path[slices.Index(path, n):])
			return
		}
		n.visiting = true
		path = append(path, n)
		for _, dep := range n.deps {
			visit(dep)
		}
		path = path[:len(path)-1]
		n.visiting = false
		done[n] = true
		order = append(order, n)
	}
	for _, n := range l.instances {
		visit(n)
	}
	return order
}

// cycle reports that instances refer to each other in a circle.
func (l *loader) cycle(path []*instance) {
	var names []string
	for _, n := range path {
		n.failed = true
		names = append(names, n.addr.String())
	}
	names = append(names, names[0])
	l.errorf(path[0].header(), "blocks refer to each other in a circle", "%s. Take one of these references out.", strings.Join(names, " → "))
}
