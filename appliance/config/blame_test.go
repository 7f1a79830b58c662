package config

import (
	"slices"
	"strings"
	"testing"
)

// TestCutLabels: the way to an attribute of user "a@b.example" is the name of
// the block, the whole label, and the name of the attribute.
func TestCutLabels(t *testing.T) {
	for _, c := range []struct {
		path, label, rest string
		ok                bool
	}{
		{"app.password", "app", "password", true},
		{"app", "app", "", true},
		{"", "app", "", true},
		{"bob.password", "app", "", false},
		{"a@b.example.password", "a@b.example", "password", true},
		{"a@b.example", "a@b.example", "", true},
		{"a@b.example.password", "a@b", "example.password", true},
		{"a@b", "a@b.example", "", false},
	} {
		path := strings.FieldsFunc(c.path, func(r rune) bool { return r == '.' })
		rest, ok := cutLabels(path, []string{c.label})
		if ok != c.ok || !slices.Equal(rest, strings.FieldsFunc(c.rest, func(r rune) bool { return r == '.' })) {
			t.Errorf("%s at %q: %v, %t", c.path, c.label, rest, ok)
		}
	}
}
