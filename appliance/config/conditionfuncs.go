package config

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// conditionFunctions are what a condition can call.
var conditionFunctions = []string{
	"cidrcontains", "contains", "endswith", "header", "lower", "matches", "startswith", "upper",
}

// functionsOf returns the functions of a condition, apart from header(), with
// the patterns and networks that stand in it.
func functionsOf(patterns map[string]*regexp.Regexp, networks map[string]netip.Prefix) map[string]function.Function {
	return map[string]function.Function{
		"lower":      textFunction(strings.ToLower),
		"upper":      textFunction(strings.ToUpper),
		"startswith": testFunction("text", "prefix", strings.HasPrefix),
		"endswith":   testFunction("text", "suffix", strings.HasSuffix),
		"contains":   containsFunction,
		"matches": testFunction("text", "pattern", func(text, pattern string) bool {
			return patterns[pattern].MatchString(text)
		}),
		"cidrcontains": testFunction("network", "ip", func(network, ip string) bool {
			addr, err := netip.ParseAddr(ip) // a client without an address is in no network
			return err == nil && networks[network].Contains(addr.Unmap())
		}),
	}
}

func textFunction(f func(string) string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(f(args[0].AsString())), nil
		},
	})
}

func testFunction(first, second string, f func(a, b string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: first, Type: cty.String}, {Name: second, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// containsFunction is contains(text, part) or contains(list, text).
var containsFunction = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "where", Type: cty.DynamicPseudoType},
		{Name: "what", Type: cty.String},
	},
	Type: func(args []cty.Value) (cty.Type, error) {
		t := args[0].Type()
		if t == cty.String || t == cty.DynamicPseudoType || isStringList(t) {
			return cty.Bool, nil
		}
		return cty.NilType, errors.New("contains() takes a string or a list of strings, and then the string to look for")
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		where, what := args[0], args[1].AsString()
		if where.Type() == cty.String {
			return cty.BoolVal(strings.Contains(where.AsString(), what)), nil
		}
		if !where.IsWhollyKnown() {
			return cty.UnknownVal(cty.Bool), nil
		}
		for _, e := range where.AsValueSlice() {
			if !e.IsNull() && e.AsString() == what {
				return cty.True, nil
			}
		}
		return cty.False, nil
	},
})

func isStringList(t cty.Type) bool {
	if !t.IsTupleType() {
		return false
	}
	for _, e := range t.TupleElementTypes() {
		if e != cty.String {
			return false
		}
	}
	return true
}
