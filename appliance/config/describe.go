package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An Attribute describes one attribute or block for the manual.
type Attribute struct {
	Name     string      `json:"name"`
	Type     string      `json:"type"` // "duration", "list of references to signer blocks", "block"
	Required bool        `json:"required,omitempty"`
	Default  string      `json:"default,omitempty"` // as it would be written; "" if there is none
	Labels   []string    `json:"labels,omitempty"`  // of a block
	Many     bool        `json:"many,omitempty"`    // the block may stand more than once
	Block    []Attribute `json:"block,omitempty"`   // what stands in the block
	// The struct that declares the field, for its comment: see package fielddoc.
	Owner reflect.Type `json:"-"`
	Field string       `json:"-"`
}

// Describe lists what the block of a module type can hold, in the order of
// its struct.
func Describe(r appliance.Registration) []Attribute { return describe(reflect.ValueOf(r.New()).Elem()) }

// DescribePipeline lists what a pipeline block can hold.
func DescribePipeline() []Attribute { return describe(reflect.ValueOf(appliance.Pipeline{})) }

// DescribeSettings lists the top level of a file, apart from modules and
// pipelines.
func DescribeSettings() []Attribute {
	return describe(reflect.ValueOf(appliance.DefaultSettings()))
}

func describe(v reflect.Value) []Attribute {
	var all []Attribute
	for _, f := range schemaOf(v.Type()).fields {
		if f.label {
			continue
		}
		a := Attribute{Name: f.name, Required: f.required, Owner: f.owner, Field: f.goName}
		held := v.FieldByIndex(f.index)
		if f.inner != nil {
			a.Type, a.Many = "block", f.many
			for _, l := range f.inner.labels() {
				a.Labels = append(a.Labels, l.name)
			}
			a.Block = describe(blockDefaults(held))
		} else {
			a.Type, a.Default = typeName(f), defaultText(held)
		}
		all = append(all, a)
	}
	return all
}

// blockDefaults is the struct that a block is decoded over.
func blockDefaults(v reflect.Value) reflect.Value {
	switch {
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Pointer && v.IsNil():
		return reflect.Zero(v.Type().Elem())
	case v.Kind() == reflect.Pointer:
		return v.Elem()
	}
	return v
}

// typeName is the name that the manual has for the type of a field.
func typeName(f *field) string {
	switch {
	case isRef(f.typ):
		return "reference to a " + kindList(f.kinds()) + " block"
	case isRefs(f.typ):
		return "list of references to " + kindList(f.kinds()) + " blocks"
	}
	return plainTypeName(f.typ)
}

func plainTypeName(t reflect.Type) string {
	if k, ok := wellKnown[t]; ok {
		return k.name
	}
	switch {
	case isText(t):
		return "string"
	case t.Kind() == reflect.Pointer:
		return plainTypeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + plainTypeName(t.Elem()) + "s"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Slice:
		return "map of lists of " + plainTypeName(t.Elem().Elem()) + "s"
	case t.Kind() == reflect.Map:
		return "map of " + plainTypeName(t.Elem()) + "s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "string"
	}
	return "number"
}

// defaultText writes the value that the constructor set as a file would.
// Secrets have no default, and neither has what the constructor left zero, as
// long as it is not a choice between true and false.
func defaultText(v reflect.Value) string {
	t := v.Type()
	switch {
	case isSecret(t) || isRefs(t) || t.Kind() == reflect.Pointer || t == conditionType:
		return ""
	case t.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.IsZero():
		return ""
	case t == durationType:
		return strconv.Quote(appliance.FormatDuration(time.Duration(v.Int())))
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return strconv.Quote(s.String())
	}
	switch t.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, defaultText(v.Index(i)))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case reflect.Map:
		return "" // written in the comment, where there is one
	}
	return fmt.Sprint(v.Interface())
}
