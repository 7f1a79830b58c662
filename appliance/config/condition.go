package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a condition: it is evaluated for every recipient.
const (
	maxCondition   = 4 << 10 // octets of source
	maxHeaderCalls = 16      // header() copies a field
)

// A condition is a compiled when expression. It does not change, so that many
// goroutines can evaluate it.
type condition struct {
	expr         hclsyntax.Expression
	variables    []string // the roots it uses, each once
	needsContent bool
	usesHeader   bool
	functions    *hcl.EvalContext
}

var _ appliance.DomainCondition = (*condition)(nil)

// factParts says what a condition can look at: the parts of an object, or no
// parts for a plain value.
var factParts = map[string][]string{
	"sender":    {"address", "domain", "local"},
	"recipient": {"address", "domain", "local"},
	"client":    {"ip"},
	"message":   {"size"},
	"user":      nil,
	"attempt":   nil,
}

// factNames is factParts in the order of the manual.
var factNames = []string{"sender", "recipient", "client", "user", "message", "attempt"}

// unknownFacts stand for the facts while a condition is checked.
var unknownFacts = map[string]cty.Value{
	"sender":    unknownMailbox,
	"recipient": unknownMailbox,
	"client":    cty.ObjectVal(map[string]cty.Value{"ip": unknownText}),
	"message":   cty.ObjectVal(map[string]cty.Value{"size": cty.UnknownVal(cty.Number).RefineNotNull()}),
	"user":      unknownText,
	"attempt":   cty.UnknownVal(cty.Number).RefineNotNull(),
}

var (
	unknownText    = cty.UnknownVal(cty.String).RefineNotNull()
	unknownMailbox = cty.ObjectVal(map[string]cty.Value{"address": unknownText, "domain": unknownText, "local": unknownText})
)

// A compiler checks one condition.
type compiler struct {
	*collector
	context string
	expr    hclsyntax.Expression
	cond    *condition
	failed  bool
}

// compile checks a condition and makes it ready for use.
func compile(c *collector, context string, expr hclsyntax.Expression) (appliance.Condition, bool) {
	k := &compiler{collector: c, context: context, expr: expr, cond: &condition{expr: expr}}
	if r := expr.Range(); r.End.Byte-r.Start.Byte > maxCondition {
		k.fail(expr, "the condition is too long", "Conditions have at most %d bytes.", maxCondition)
		return nil, false
	}
	u, ok := examine(c, context, expr, conditionFunctions)
	if !ok || !k.names() || !k.calls(u.calls) || !k.comparisons() {
		return nil, false
	}
	return k.cond, k.result(len(k.cond.variables) > 0 || k.cond.needsContent)
}

func (k *compiler) fail(n hclsyntax.Node, summary, detail string, args ...any) {
	k.failed = true
	k.errorf(place{spanOf(n.Range()), k.context}, summary, detail, args...)
}

// names checks that the expression looks at what there is.
func (k *compiler) names() bool {
	for _, t := range k.expr.Variables() {
		k.name(t)
	}
	return !k.failed
}

func (k *compiler) name(t hcl.Traversal) {
	root := t.RootName()
	parts, ok := factParts[root]
	at := place{spanOf(t.SourceRange()), k.context}
	report := func(summary, detail string) {
		k.failed = true
		k.errorf(at, summary, "%s", detail)
	}
	if !ok {
		report(fmt.Sprintf("there is no %s here", root),
			"A condition can look at "+list(factNames)+", and at header(\"…\"). Text stands in quotes."+didYouMean(root, factNames))
		return
	}
	if !slices.Contains(k.cond.variables, root) {
		k.cond.variables = append(k.cond.variables, root)
	}
	k.cond.needsContent = k.cond.needsContent || root == "message"
	if len(parts) == 0 {
		if len(t) > 1 {
			report(root+" has no parts", "Write "+root+" alone.")
		}
		return
	}
	if len(t) == 2 {
		if step, ok := t[1].(hcl.TraverseAttr); ok {
			if !slices.Contains(parts, step.Name) {
				report(fmt.Sprintf("%s has no %s", root, step.Name), "Write "+partList(root, parts)+"."+didYouMean(step.Name, parts))
			}
			return
		}
	}
	report(root+" has parts", "Write "+partList(root, parts)+".")
}

// partList is "client.ip" or "sender.address, sender.domain or sender.local".
func partList(root string, parts []string) string {
	var all []string
	for _, p := range parts {
		all = append(all, root+"."+p)
	}
	return strings.Replace(list(all), " and ", " or ", 1)
}

// calls checks the function calls and prepares what is the same in every
// evaluation: patterns and networks.
func (k *compiler) calls(calls []*hclsyntax.FunctionCallExpr) bool {
	patterns := make(map[string]*regexp.Regexp)
	networks := make(map[string]netip.Prefix)
	headers := 0
	for _, call := range calls {
		switch call.Name {
		case "header":
			headers++
			k.cond.needsContent, k.cond.usesHeader = true, true
		case "matches":
			k.constant(call, 1, "a pattern", func(text string) (err error) {
				patterns[text], err = regexp.Compile(text)
				return err
			})
		case "cidrcontains":
			k.constant(call, 0, "a network", func(text string) (err error) {
				networks[text], err = appliance.ParseNetwork(text)
				return err
			})
		}
	}
	if headers > maxHeaderCalls {
		k.fail(k.expr, "too many calls of header()", "A condition can have %d.", maxHeaderCalls)
	}
	k.cond.functions = &hcl.EvalContext{Functions: functionsOf(patterns, networks)}
	return !k.failed
}

// constant takes an argument that must be written out, so that a mistake in it
// shows now and not when mail comes.
func (k *compiler) constant(call *hclsyntax.FunctionCallExpr, i int, what string, take func(string) error) {
	if i >= len(call.Args) {
		return // the evaluation says how many arguments there should be
	}
	text, ok := literalString(call.Args[i])
	if !ok {
		k.fail(call.Args[i], fmt.Sprintf("%s() takes %s in quotes", call.Name, what), "It cannot depend on the message.")
		return
	}
	if err := take(text); err != nil {
		k.fail(call.Args[i], "this is not "+what, "%s", sentence(err.Error()))
	}
}

// comparisons finds == between things that can never be equal. HCL takes it
// for false, which is never what was meant.
func (k *compiler) comparisons() bool {
	ctx := k.cond.evalContext(unknownFacts, unknownHeader)
	diags := hclsyntax.VisitAll(k.expr, func(n hclsyntax.Node) hcl.Diagnostics {
		b, ok := n.(*hclsyntax.BinaryOpExpr)
		if !ok || b.Op != hclsyntax.OpEqual && b.Op != hclsyntax.OpNotEqual {
			return nil
		}
		left, d1 := b.LHS.Value(ctx)
		right, d2 := b.RHS.Value(ctx)
		if d1.HasErrors() || d2.HasErrors() || left.Type() == cty.DynamicPseudoType || right.Type() == cty.DynamicPseudoType {
			return nil // the evaluation of the whole reports it
		}
		if !left.Type().Equals(right.Type()) {
			k.fail(b, "these can never be equal", "One side is %s, the other %s.",
				describeValue(value{Value: left}), describeValue(value{Value: right}))
		}
		return nil
	})
	k.hcl(k.context, diags)
	return !k.failed && !diags.HasErrors()
}

// result checks that the outcome is true or false, and that it depends on
// something if it looks at anything.
func (k *compiler) result(looks bool) bool {
	v, diags := k.expr.Value(k.cond.evalContext(unknownFacts, unknownHeader))
	switch {
	case diags.HasErrors():
		k.hcl(k.context, diags)
		return false
	case v.Type() != cty.Bool && v.Type() != cty.DynamicPseudoType || v.IsNull():
		k.fail(k.expr, "the condition is not true or false", "It is %s. Compare it with something, for example recipient.domain == \"example.com\".",
			describeValue(value{Value: v}))
		return false
	case v.IsKnown() && looks:
		k.fail(k.expr, fmt.Sprintf("the condition is always %v", v.True()), "What it compares does not depend on the message.")
		return false
	}
	return true
}

// NeedsContent implements appliance.Condition.
func (c *condition) NeedsContent() bool { return c.needsContent }

// errNoContent means that the header was asked for before it was there.
var errNoContent = errors.New("the header is not known yet")

// Match implements appliance.Condition. Whatever goes wrong is an error, so
// that the recipient is deferred and not sent to the wrong place.
func (c *condition) Match(f *appliance.Facts) (match bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("condition %s: %v", c.expr.Range(), r)
		}
	}()
	variables := make(map[string]cty.Value, len(c.variables))
	for _, name := range c.variables {
		variables[name] = fact(f, name)
	}
	v, diags := c.expr.Value(c.evalContext(variables, func(name string) (cty.Value, error) {
		if f.Header == nil {
			return cty.NilVal, errNoContent
		}
		return textValue(f.Header.Get(name)), nil
	}))
	switch {
	case diags.HasErrors():
		return false, diags
	case v.IsNull() || !v.IsKnown() || v.Type() != cty.Bool:
		return false, fmt.Errorf("condition %s is neither true nor false", c.expr.Range())
	}
	return v.True(), nil
}

// MatchDomain implements appliance.DomainCondition: what is not known of the
// message is an unknown value, and so is a result that depends on it.
func (c *condition) MatchDomain(domain string) (match, known bool) {
	defer func() {
		if recover() != nil {
			match, known = false, false // Match reports it
		}
	}()
	variables := maps.Clone(unknownFacts)
	variables["recipient"] = cty.ObjectVal(map[string]cty.Value{
		"address": unknownText, "domain": textValue(domain), "local": unknownText,
	})
	v, diags := c.expr.Value(c.evalContext(variables, unknownHeader))
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.Bool {
		return false, false
	}
	return v.True(), true
}

// fact is one of factNames.
func fact(f *appliance.Facts, name string) cty.Value {
	switch name {
	case "sender":
		return mailboxValue(f.Sender)
	case "recipient":
		return mailboxValue(f.Recipient)
	case "client":
		return cty.ObjectVal(map[string]cty.Value{"ip": textValue(f.Client)})
	case "message":
		return cty.ObjectVal(map[string]cty.Value{"size": cty.NumberIntVal(f.Size)})
	case "attempt":
		return cty.NumberIntVal(int64(f.Attempt))
	}
	return textValue(f.User)
}

func mailboxValue(m appliance.Mailbox) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"address": textValue(m.String()), "domain": textValue(m.Domain), "local": textValue(m.Local),
	})
}

// textValue is a string that strangers wrote.
func textValue(s string) cty.Value { return cty.StringVal(strings.ToValidUTF8(s, "�")) }

func unknownHeader(string) (cty.Value, error) { return unknownText, nil }

func (c *condition) evalContext(variables map[string]cty.Value, header func(string) (cty.Value, error)) *hcl.EvalContext {
	ctx := c.functions.NewChild()
	ctx.Variables = variables
	if !c.usesHeader {
		return ctx
	}
	ctx.Functions = map[string]function.Function{"header": function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return header(args[0].AsString()) },
	})}
	return ctx
}
