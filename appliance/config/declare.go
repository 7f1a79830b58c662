package config

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// declare makes an instance of each block that is one.
func (l *loader) declare(body *hclsyntax.Body) {
	if len(body.Blocks) > maxBlocks {
		l.errorf(place{span: spanOf(body.Blocks[maxBlocks].TypeRange)}, "too many blocks", "A file can have %d.", maxBlocks)
		return
	}
	for _, b := range body.Blocks {
		switch {
		case l.settingsSchema.block(b.Type) != nil:
		case isKind(b.Type):
			l.declareBlock(b)
		case l.full():
			l.errorf(place{span: spanOf(b.TypeRange)}, "", "")
		default:
			words := append(kindWords(), l.settingsSchema.names(true)...)
			l.errorf(place{span: spanOf(b.TypeRange)}, fmt.Sprintf("unknown block %q", b.Type), "The blocks are %s.%s", list(words), didYouMean(b.Type, words))
		}
	}
}

// declareBlock makes the instance of one block.
func (l *loader) declareBlock(b *hclsyntax.Block) {
	n := &instance{addr: appliance.Addr{Kind: appliance.Kind(b.Type)}, block: b, body: b.Body}
	labels := 2
	if n.addr.Kind == appliance.KindPipeline {
		labels = 1
	}
	if len(b.Labels) != labels {
		l.labelCount(b, labels)
		return
	}
	n.addr.Name = b.Labels[labels-1]
	if labels == 2 {
		n.typ = b.Labels[0]
	}
	name := place{span: spanOf(b.LabelRanges[labels-1])}
	if !validName.MatchString(n.addr.Name) {
		l.errorf(name, fmt.Sprintf("%q cannot be a name", n.addr.Name),
			`A name begins with a letter and has letters, digits, "_" and "-", at most 63.`)
		return
	}
	if first := l.byAddr[n.addr]; first != nil {
		l.errorf(name, fmt.Sprintf("a second %s", n.addr), "Names are unique within a kind, whatever the type; %s was first declared on line %d.",
			n.addr, l.src.line(first.header().from))
		return
	}
	l.oneStore(n)
	l.byAddr[n.addr] = n
	n.failed = !l.instantiate(n)
	l.instances = append(l.instances, n)
}

func (l *loader) labelCount(b *hclsyntax.Block, want int) {
	form := fmt.Sprintf("%s %q", b.Type, "name")
	if want == 2 {
		form = fmt.Sprintf("%s %q %q", b.Type, "type", "name")
		if types := l.opts.Registry.Of(appliance.Kind(b.Type)); len(types) > 0 {
			form = fmt.Sprintf("%s %q %q", b.Type, types[0].Name, "name")
		}
		if len(b.Labels) == 1 {
			if _, ok := l.opts.Registry.Get(appliance.Kind(b.Type), b.Labels[0]); ok {
				form = fmt.Sprintf("%s %q %q", b.Type, b.Labels[0], "name")
			}
		}
	}
	summary := b.Type + " takes a type and a name"
	if want == 1 {
		summary = b.Type + " takes a name and no type"
	}
	l.errorf(place{span: spanOf(b.DefRange())}, summary, "Write it as %s { … }", form)
}

// oneStore reports a second store.
func (l *loader) oneStore(n *instance) {
	if n.addr.Kind != appliance.KindStore {
		return
	}
	for _, other := range l.instances {
		if other.addr.Kind == appliance.KindStore {
			l.errorf(n.header(), "a second store", "There can be one; the first is declared %s.", l.declared(other))
		}
	}
}

// instantiate makes the target of an instance, holding the defaults.
func (l *loader) instantiate(n *instance) bool {
	if n.addr.Kind == appliance.KindPipeline {
		n.target, n.schema = new(appliance.Pipeline), l.pipelineSchema
		return true
	}
	r, ok := l.opts.Registry.Get(n.addr.Kind, n.typ)
	if !ok {
		n.schema, n.body = new(schema), new(hclsyntax.Body) // nothing in it can be known
		l.unknownType(n)
		return false
	}
	n.target = r.New()
	n.schema = schemaOf(reflect.TypeOf(n.target).Elem())
	return true
}

func (l *loader) unknownType(n *instance) {
	at := place{span: spanOf(n.block.LabelRanges[0])}
	var types []string
	for _, r := range l.opts.Registry.Of(n.addr.Kind) {
		types = append(types, fmt.Sprintf("%q", r.Name))
	}
	l.errorf(at, fmt.Sprintf("unknown %s type %q", n.addr.Kind, n.typ),
		"There is no %s of this type.%s `waxwing modules %s` lists them.",
		n.addr.Kind, didYouMean(fmt.Sprintf("%q", n.typ), types), n.addr.Kind)
}
