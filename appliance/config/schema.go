package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A schema is what the hcl tags of a struct say, in the order of its fields.
// A tag that makes no sense is a bug in the program: schemaOf panics, and the
// test that loads every registration finds it.
type schema struct{ fields []*field }

// A field is one attribute, block or label.
type field struct {
	name     string
	index    []int // for reflect.Value.FieldByIndex
	typ      reflect.Type
	owner    reflect.Type // the struct that declares it
	goName   string
	required bool
	only     bool    // a reference that may be left out if there is one candidate
	label    bool    // a label of the block
	many     bool    // the block may stand more than once
	inner    *schema // of a block
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	sizeType        = reflect.TypeFor[appliance.Size]()
	secretType      = reflect.TypeFor[appliance.Secret]()
	conditionType   = reflect.TypeFor[appliance.Condition]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	referenceType   = reflect.TypeFor[reference]()
)

// A reference is a pointer to an appliance.Ref of any role.
type reference interface {
	Bind(a appliance.Addr, m any)
	Role() reflect.Type
}

// schemaOf reads the tags of a struct.
func schemaOf(t reflect.Type) *schema {
	s := new(schema)
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("hcl")
		if !ok {
			continue
		}
		s.fields = append(s.fields, newField(t, f, tag))
	}
	return s
}

func newField(t reflect.Type, f reflect.StructField, tag string) *field {
	words := strings.Split(tag, ",")
	owner := t
	if n := len(f.Index); n > 1 {
		owner = t.FieldByIndex(f.Index[:n-1]).Type
	}
	fl := &field{name: words[0], index: f.Index, typ: f.Type, owner: owner, goName: f.Name, required: true}
	for _, w := range words[1:] {
		switch w {
		case "optional":
			fl.required = false
		case "only":
			fl.only = true
		case "label":
			fl.label = true
		case "block":
			fl.required = false
			fl.inner, fl.many = blockSchema(f.Type)
		default:
			panic(fmt.Sprintf("config: %s.%s: unknown tag option %q", t, f.Name, w))
		}
	}
	if fl.inner == nil && !decodable(f.Type) {
		panic(fmt.Sprintf("config: %s.%s: no value can be decoded into a %s", t, f.Name, f.Type))
	}
	return fl
}

func blockSchema(t reflect.Type) (s *schema, many bool) {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		many = t.Kind() == reflect.Slice
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: a block is decoded into a struct, *struct or []struct, not a %s", t))
	}
	return schemaOf(t), many
}

// decodable says whether the decoder knows the type.
func decodable(t reflect.Type) bool {
	if isRef(t) || isText(t) || t == conditionType {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return true
	case reflect.Slice:
		return decodable(t.Elem()) && t.Elem().Kind() != reflect.Slice
	case reflect.Pointer:
		return isText(t.Elem())
	case reflect.Map:
		return t.Key().Kind() == reflect.String && decodable(t.Elem()) && !isRef(t.Elem())
	}
	return false
}

// isRef says whether t is an appliance.Ref.
func isRef(t reflect.Type) bool { return reflect.PointerTo(t).Implements(referenceType) }

// isRefs says whether t is a Ref or a list of them.
func isRefs(t reflect.Type) bool {
	return isRef(t) || t.Kind() == reflect.Slice && isRef(t.Elem())
}

// isText says whether t reads itself from a string.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshalerType) }

// role is the role that a Ref field, or a list of them, asks for.
func (f *field) role() reflect.Type {
	t := f.typ
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return reflect.New(t).Interface().(reference).Role()
}

// kinds are the kinds of blocks that a reference can name: those whose role
// it asks for. Rewrites and signers play the same role; there the name of the
// attribute decides.
func (f *field) kinds() []appliance.Kind {
	role := f.role()
	if role == reflect.TypeFor[*appliance.Pipeline]() {
		return []appliance.Kind{appliance.KindPipeline}
	}
	var all []appliance.Kind
	for _, k := range appliance.Kinds() {
		if k.Role() == role {
			all = append(all, k)
		}
	}
	if k := appliance.Kind(strings.TrimSuffix(f.name, "s")); slices.Contains(all, k) {
		return []appliance.Kind{k}
	}
	return all
}

func (s *schema) find(match func(*field) bool) *field {
	if s == nil {
		return nil
	}
	if i := slices.IndexFunc(s.fields, match); i >= 0 {
		return s.fields[i]
	}
	return nil
}

// attribute returns the attribute with the name, or nil.
func (s *schema) attribute(name string) *field {
	return s.find(func(f *field) bool { return f.name == name && f.inner == nil && !f.label })
}

// block returns the nested block with the name, or nil.
func (s *schema) block(name string) *field {
	return s.find(func(f *field) bool { return f.name == name && f.inner != nil })
}

// labels returns the labels in their order.
func (s *schema) labels() []*field {
	var all []*field
	for _, f := range s.fields {
		if f.label {
			all = append(all, f)
		}
	}
	return all
}

// names lists the attributes, or the blocks, as they can be written.
func (s *schema) names(blocks bool) []string {
	var all []string
	for _, f := range s.fields {
		if !f.label && (f.inner != nil) == blocks {
			all = append(all, f.name)
		}
	}
	return all
}

// sortedAttributes returns the attributes of a body in the order of the file.
func sortedAttributes(b *hclsyntax.Body) []*hclsyntax.Attribute {
	all := make([]*hclsyntax.Attribute, 0, len(b.Attributes))
	for _, a := range b.Attributes {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *hclsyntax.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	return all
}
