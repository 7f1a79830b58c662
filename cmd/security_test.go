package cmd_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fuzzNamed  = regexp.MustCompile("`([a-z/]+)` ((?:Fuzz\\w+(?:, )?)+)")
	tableRow   = regexp.MustCompile("(?m)^\\| (\\S+) \\| .+ \\| .+ \\| ([0-9]+) \\| `go test (.+) -run '\\^\\((.+)\\)\\$'` \\|$")
	wantedRows = map[string]int{"S": 12, "C": 14, "A": 12, "H": 8, "R": 15, "X": 8, "r": 1}
)

// TestSecurityTable: the table of hostile input has its families, and its
// commands run tests that exist.
func TestSecurityTable(t *testing.T) {
	all := tests(t)
	rows := make(map[string]int)
	for _, m := range tableRow.FindAllStringSubmatch(read(t, "../docs/security.md"), -1) {
		rows[m[1][:1]]++
		names := strings.Split(m[4], `\|`)
		for _, dir := range strings.Fields(m[3]) {
			here := all[strings.TrimPrefix(dir, "./")]
			if !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(here, name) }) {
				t.Errorf("%s: %s has none of %q", m[1], dir, names)
			}
		}
	}
	for family, n := range wantedRows {
		if rows[family] < n {
			t.Errorf("%d rows of family %s, there are at least %d", rows[family], family, n)
		}
	}
}

// TestSecurityFuzz: the page names every fuzz target there is, and no other.
func TestSecurityFuzz(t *testing.T) {
	named := make(map[string][]string)
	for _, m := range fuzzNamed.FindAllStringSubmatch(read(t, "../docs/security.md"), -1) {
		named[m[1]] = append(named[m[1]], strings.Split(m[2], ", ")...)
	}
	for dir, names := range tests(t) {
		for _, name := range names {
			if strings.HasPrefix(name, "Fuzz") && !slices.Contains(named[dir], name) {
				t.Errorf("the page does not name %s of %s", name, dir)
			}
		}
		for _, name := range named[dir] {
			if !slices.Contains(names, name) {
				t.Errorf("%s has no %s", dir, name)
			}
		}
	}
}
