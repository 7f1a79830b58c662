package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A decoder writes one block of the file over the defaults of its struct.
type decoder struct {
	*collector
	*sources
	context string // of the block, for messages
	refs    map[refKey][]*instance
	failed  bool
}

// valueFunctions are what an attribute can call.
var valueFunctions = []string{envFunction, fileFunction}

func (d *decoder) at(s span) place { return place{s, d.context} }

func (d *decoder) fail(p place, summary, detail string, args ...any) {
	d.failed = true
	d.errorf(p, summary, detail, args...)
}

// body decodes attributes and nested blocks into the struct dst.
func (d *decoder) body(dst reflect.Value, body *hclsyntax.Body, s *schema, header place) {
	for _, attr := range sortedAttributes(body) {
		if f := s.attribute(attr.Name); f != nil {
			d.attribute(dst.FieldByIndex(f.index), body, f, attr)
		} else {
			d.unknownAttribute(attr, s)
		}
	}
	for _, f := range s.fields {
		switch _, written := body.Attributes[f.name]; {
		case written || f.label:
		case f.required:
			d.fail(header, "missing "+f.name, "This block needs %s, which takes %s.", f.name, d.takes(f))
		case f.only:
			d.bind(dst.FieldByIndex(f.index), d.refs[refKey{body, f.name}])
		}
	}
	d.blocks(dst, body, s)
}

// takes says what to write for a field.
func (d *decoder) takes(f *field) string {
	switch {
	case isRef(f.typ):
		return "a reference to a " + kindList(f.kinds()) + " block"
	case isRefs(f.typ):
		return "a list of references to " + kindList(f.kinds()) + " blocks"
	}
	return describeType(f.typ)
}

func (d *decoder) unknownAttribute(attr *hclsyntax.Attribute, s *schema) {
	at := d.at(spanOf(attr.NameRange))
	if d.full() {
		d.fail(at, "", "")
		return
	}
	if s.block(attr.Name) != nil {
		d.fail(at, attr.Name+" is a block", "Write it without the equals sign: %s { … }", attr.Name)
		return
	}
	d.fail(at, fmt.Sprintf("unknown attribute %q", attr.Name), "%s%s", known("attribute", s.names(false)), didYouMean(attr.Name, s.names(false)))
}

// known lists what could have been written.
func known(what string, names []string) string {
	switch len(names) {
	case 0:
		return fmt.Sprintf("No %s can stand here.", what)
	case 1:
		return fmt.Sprintf("The only %s here is %s.", what, names[0])
	}
	return fmt.Sprintf("The %ss here are %s.", what, list(names))
}

// blocks decodes the nested blocks in their order.
func (d *decoder) blocks(dst reflect.Value, body *hclsyntax.Body, s *schema) {
	first := make(map[string]*hclsyntax.Block)
	for _, b := range body.Blocks {
		f := s.block(b.Type)
		at := d.at(spanOf(b.TypeRange))
		switch {
		case f == nil && d.full():
			d.fail(at, "", "")
			continue
		case f == nil && s.attribute(b.Type) != nil:
			d.fail(at, b.Type+" is an attribute", "Write it with an equals sign: %s = …", b.Type)
			continue
		case f == nil:
			d.fail(at, fmt.Sprintf("unknown block %q", b.Type), "%s%s", known("block", s.names(true)), didYouMean(b.Type, s.names(true)))
			continue
		case first[b.Type] != nil && !f.many:
			d.fail(at, "a second "+b.Type+" block", "There can be one; the first is on line %d.", d.src.line(first[b.Type].TypeRange.Start.Byte))
			continue
		}
		field := dst.FieldByIndex(f.index)
		if first[b.Type] == nil && f.many {
			field.SetZero() // what the file says takes the place of the defaults
		}
		if first[b.Type] == nil {
			first[b.Type] = b
		}
		d.block(field, f, b)
	}
}

// block decodes one nested block.
func (d *decoder) block(dst reflect.Value, f *field, b *hclsyntax.Block) {
	t := dst.Type()
	target := dst
	if t.Kind() != reflect.Struct {
		target = reflect.New(t.Elem()).Elem()
	}
	d.labels(target, f, b)
	d.body(target, b.Body, f.inner, d.at(spanOf(b.DefRange())))
	switch t.Kind() {
	case reflect.Slice:
		dst.Set(reflect.Append(dst, target))
	case reflect.Pointer:
		dst.Set(target.Addr())
	}
}

func (d *decoder) labels(dst reflect.Value, f *field, b *hclsyntax.Block) {
	labels := f.inner.labels()
	if len(labels) != len(b.Labels) {
		form := f.name
		for _, l := range labels {
			form += fmt.Sprintf(" %q", l.name)
		}
		d.fail(d.at(spanOf(b.DefRange())), fmt.Sprintf("%s takes %s, not %d", f.name, plural(len(labels), "name"), len(b.Labels)), "Write it as %s { … }", form)
		return
	}
	for i, l := range labels {
		if err := assign(dst.FieldByIndex(l.index), value{raw: &b.Labels[i], Value: ctyString(b.Labels[i])}); err != nil {
			d.fail(d.at(spanOf(b.LabelRanges[i])), "invalid "+l.name, "%s", sentence(err.Error()))
		}
	}
}

// attribute decodes one attribute.
func (d *decoder) attribute(dst reflect.Value, body *hclsyntax.Body, f *field, attr *hclsyntax.Attribute) {
	switch {
	case isRefs(f.typ):
		d.bind(dst, d.refs[refKey{body, f.name}])
	case f.typ == conditionType:
		if c, ok := compile(d.collector, d.context, attr.Expr); ok {
			dst.Set(reflect.ValueOf(c))
		} else {
			d.failed = true
		}
	default:
		d.literal(dst, f, attr)
	}
}

// bind binds the references; a list keeps its order. What refers to a block
// of unknown type fails with it.
func (d *decoder) bind(dst reflect.Value, to []*instance) {
	to = slices.DeleteFunc(slices.Clone(to), func(n *instance) bool { return n.target == nil })
	if isRef(dst.Type()) {
		for _, n := range to {
			dst.Addr().Interface().(reference).Bind(n.addr, n.running())
		}
		return
	}
	all := reflect.MakeSlice(dst.Type(), len(to), len(to))
	for i, n := range to {
		all.Index(i).Addr().Interface().(reference).Bind(n.addr, n.running())
	}
	dst.Set(all)
}

// literal evaluates an attribute and writes its value.
func (d *decoder) literal(dst reflect.Value, f *field, attr *hclsyntax.Attribute) {
	d.exposed = nil
	v, ok := d.evaluate(attr.Expr, f)
	if !ok {
		d.failed = true
		return
	}
	at := d.at(spanOf(attr.Expr.Range()))
	err := assign(dst, v)
	if m, ok := errors.AsType[*mismatch](err); ok && m.invalid == "" {
		d.fail(at, "wrong type for "+f.name, "%s %s.", f.name, m)
		return
	}
	if err != nil {
		d.fail(at, "invalid "+f.name, "%s", sentence(err.Error()))
		return
	}
	if isSecret(f.typ) {
		for _, file := range d.exposed {
			d.warnf(at, "anybody on this machine can read the secret", "Take the permission away: chmod o-r %s", file)
		}
	}
}

// evaluate returns the value of an expression.
func (d *decoder) evaluate(expr hclsyntax.Expression, f *field) (value, bool) {
	u, ok := examine(d.collector, d.context, expr, valueFunctions)
	if !ok || !d.noVariables(expr, f) {
		return value{}, false
	}
	if text, err, ok := d.direct(expr); ok {
		if err != nil {
			call := expr.(*hclsyntax.FunctionCallExpr)
			d.errorf(d.at(spanOf(expr.Range())), call.Name+"() failed", "%s", sentence(err.Error()))
			return value{}, false
		}
		return value{Value: ctyString(text), raw: &text, outside: true}, true
	}
	v, diags := expr.Value(d.sources.context())
	if diags.HasErrors() {
		d.hcl(d.context, diags)
		return value{}, false
	}
	if !v.IsWhollyKnown() {
		d.errorf(d.at(spanOf(expr.Range())), "this has no value", "Write out the value.")
		return value{}, false
	}
	if isSecret(f.typ) {
		concealAll(d.collector, v)
	}
	return value{Value: v, outside: u.sources}, true
}

// noVariables says whether an expression is free of names that are not in
// quotes. One message is enough.
func (d *decoder) noVariables(expr hclsyntax.Expression, f *field) bool {
	names := expr.Variables()
	if len(names) == 0 {
		return true
	}
	at := d.at(spanOf(names[0].SourceRange()))
	switch root := names[0].RootName(); {
	case isSecret(f.typ):
		d.errorf(at, "this is not a value", "Text stands in quotes.")
	case isKind(root) && len(names[0]) > 1:
		d.errorf(at, f.name+" takes no reference", "It takes %s.", describeType(f.typ))
	case len(names[0]) == 1:
		d.errorf(at, root+" is not a value", "Text stands in quotes: %q", root)
	default:
		d.errorf(at, root+" is not a value", "Text stands in quotes.")
	}
	return false
}
