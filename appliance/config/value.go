package config

import (
	"encoding"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A value is the result of an expression.
type value struct {
	cty.Value
	raw     *string // the exact octets, of env() and file()
	outside bool    // it depends on env() or file(): it is text, and not to be printed
}

func (v value) text() string {
	if v.raw != nil {
		return *v.raw
	}
	return v.AsString()
}

func (v value) element(e cty.Value) value { return value{Value: e, outside: v.outside} }

// A mismatch says that a value cannot become what the field holds.
type mismatch struct {
	wants, has string // kinds of values
	invalid    string // or: the value is of the right kind and still wrong
}

func (m *mismatch) Error() string {
	if m.invalid != "" {
		return m.invalid
	}
	return fmt.Sprintf("takes %s; this is %s", m.wants, m.has)
}

func invalid(v value, format string, args ...any) error {
	if v.outside {
		return &mismatch{invalid: "what env() or file() returned is not valid here; it is not shown"}
	}
	return &mismatch{invalid: fmt.Sprintf(format, args...)}
}

// assign writes a value into a field.
func assign(dst reflect.Value, v value) error {
	if v.IsNull() {
		return &mismatch{wants: describeType(dst.Type()), has: "null; leave the attribute out instead"}
	}
	t := dst.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if err := assign(p.Elem(), v); err != nil {
			return err
		}
		dst.Set(p)
		return nil
	case t == durationType:
		return assignDuration(dst, v)
	case isText(t) && (t.Kind() != reflect.Slice || !isList(v)): // a list may also be one string
		return assignText(dst, v)
	}
	switch t.Kind() {
	case reflect.Slice:
		return assignSlice(dst, v)
	case reflect.Map:
		return assignMap(dst, v)
	case reflect.String:
		if v.Type() != cty.String {
			return wrongKind(dst, v)
		}
		dst.SetString(v.text())
	case reflect.Bool:
		return assignBool(dst, v)
	case reflect.Float64:
		n, err := number(dst, v)
		if err == nil {
			f, _ := n.Float64()
			dst.SetFloat(f)
		}
		return err
	default:
		return assignInt(dst, v)
	}
	return nil
}

func wrongKind(dst reflect.Value, v value) error {
	return &mismatch{wants: describeType(dst.Type()), has: describeValue(v)}
}

func assignDuration(dst reflect.Value, v value) error {
	if v.Type() != cty.String {
		return wrongKind(dst, v)
	}
	d, err := appliance.ParseDuration(v.text())
	if err != nil {
		return invalid(v, "%v", err)
	}
	dst.SetInt(int64(d))
	return nil
}

func assignText(dst reflect.Value, v value) error {
	var text string
	switch {
	case v.Type() == cty.String:
		text = v.text()
	case v.Type() == cty.Number && dst.Type() == sizeType:
		text = v.AsBigFloat().Text('f', -1)
	default:
		return wrongKind(dst, v)
	}
	fresh := reflect.New(dst.Type()) // the default stays if the text is wrong
	if err := fresh.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		return invalid(v, "%v", err)
	}
	dst.Set(fresh.Elem())
	return nil
}

func assignBool(dst reflect.Value, v value) error {
	switch {
	case v.Type() == cty.Bool:
		dst.SetBool(v.True())
	case v.outside && v.Type() == cty.String && v.text() == "true":
		dst.SetBool(true)
	case v.outside && v.Type() == cty.String && v.text() == "false":
		dst.SetBool(false)
	default:
		return wrongKind(dst, v)
	}
	return nil
}

// number returns a number, also one that stands in an environment variable.
func number(dst reflect.Value, v value) (*big.Float, error) {
	switch {
	case v.Type() == cty.Number:
		return v.AsBigFloat(), nil
	case v.outside && v.Type() == cty.String:
		// Longer ones are no number that a field could hold, and slow to read.
		if text := v.text(); len(text) <= 32 {
			if n, _, err := big.ParseFloat(text, 10, 64, big.ToNearestEven); err == nil {
				return n, nil
			}
		}
		return nil, invalid(v, "")
	}
	return nil, wrongKind(dst, v)
}

func assignInt(dst reflect.Value, v value) error {
	n, err := number(dst, v)
	if err != nil {
		return err
	}
	i, accuracy := n.Int64()
	if accuracy != big.Exact || dst.OverflowInt(i) {
		return invalid(v, "%s is not a whole number from %d to %d", n.Text('g', 10), least(dst), -(least(dst) + 1))
	}
	dst.SetInt(i)
	return nil
}

// least is the smallest number that a field holds.
func least(dst reflect.Value) int64 { return -1 << (dst.Type().Bits() - 1) }

func isList(v value) bool { return v.Type().IsTupleType() || v.Type().IsListType() }

func assignSlice(dst reflect.Value, v value) error {
	if !isList(v) {
		return wrongKind(dst, v)
	}
	all := reflect.MakeSlice(dst.Type(), 0, v.LengthInt())
	for _, e := range v.AsValueSlice() {
		item := reflect.New(dst.Type().Elem()).Elem()
		if err := assign(item, v.element(e)); err != nil {
			return inside(dst, err)
		}
		all = reflect.Append(all, item)
	}
	dst.Set(all)
	return nil
}

func assignMap(dst reflect.Value, v value) error {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return wrongKind(dst, v)
	}
	all := reflect.MakeMap(dst.Type())
	for it := v.ElementIterator(); it.Next(); {
		key, e := it.Element()
		item := reflect.New(dst.Type().Elem()).Elem()
		if err := assign(item, v.element(e)); err != nil {
			return inside(dst, err)
		}
		all.SetMapIndex(reflect.ValueOf(key.AsString()).Convert(dst.Type().Key()), item)
	}
	dst.Set(all)
	return nil
}

// inside makes the mismatch of an element one of its list.
func inside(dst reflect.Value, err error) error {
	if m, ok := errors.AsType[*mismatch](err); ok && m.invalid == "" {
		return &mismatch{wants: describeType(dst.Type()), has: "a list or map that holds " + m.has}
	}
	return err
}

// describeValue says what sort of value was written.
func describeValue(v value) string {
	switch t := v.Type(); {
	case v.IsNull():
		return "null"
	case v.outside && t == cty.String:
		return "the text that env() or file() returned"
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return "a list"
	case t.IsObjectType() || t.IsMapType():
		return "a map"
	}
	return "something else"
}

// describeType says what sort of value a field takes, with an example.
func describeType(t reflect.Type) string {
	if d, ok := wellKnown[t]; ok {
		return d.takes
	}
	switch {
	case isText(t):
		return "a string"
	case t.Kind() == reflect.Pointer:
		return describeType(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return "a string in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return `a list of strings, such as ["a", "b"]`
	case reflect.Map:
		if t.Elem().Kind() == reflect.Slice {
			return `a map of lists, such as { a = ["b", "c"] }`
		}
		return `a map of strings, such as { a = "b" }`
	}
	return "a whole number without quotes"
}

// wellKnown names the types that the manual explains by themselves.
var wellKnown = map[reflect.Type]struct{ name, takes string }{
	durationType:                            {"duration", `a duration in quotes, such as "90s", "15m" or "5d"`},
	sizeType:                                {"size", `a size, such as "64KiB" or "25MiB"`},
	secretType:                              {"secret", "a string in quotes, env() or file()"},
	conditionType:                           {"condition", "a condition, such as recipient.domain == \"example.com\""},
	reflect.TypeFor[appliance.Schedule]():   {"schedule", `a schedule in quotes, such as "1m, 15m, 1h*6, 3h*"`},
	reflect.TypeFor[appliance.ReplyText]():  {"reply", `a reply in quotes, such as "550 5.1.2 No such domain"`},
	reflect.TypeFor[appliance.DNSServers](): {"string or list of strings", `the address of a DNS server in quotes, such as "10.0.0.53", or a list of them`},
	reflect.TypeFor[appliance.Mailbox]():    {"mail address", `a mail address in quotes, such as "user@example.com"`},
}

// kindList is "signer" or "rewrite or signer".
func kindList(kinds []appliance.Kind) string {
	var words []string
	for _, k := range kinds {
		words = append(words, string(k))
	}
	return strings.Join(slices.Compact(words), " or ")
}

func ctyString(s string) cty.Value { return cty.StringVal(s) }

// concealAll keeps every string of a secret value out of messages.
func concealAll(c *collector, v cty.Value) {
	// The error can only be one of the callback, which has none.
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		if e.Type() == cty.String && e.IsKnown() && !e.IsNull() {
			c.conceal(e.AsString())
		}
		return true, nil
	})
}
