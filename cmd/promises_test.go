package cmd_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	testNamed   = regexp.MustCompile(`\b(Test\w+)(\*?)`)
	testCommand = regexp.MustCompile("`go test \\./(\\S+) -run (\\w+)`")
	packageOf   = regexp.MustCompile("`([a-z/]+)` ((?:Test\\w+\\*?(?:, )?)+)")
)

// tests returns the tests of the project by the path of their package.
func tests(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		src, err := os.ReadFile(name)
		dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(name), "../"))
		for _, m := range testFunc.FindAllSubmatch(src, -1) {
			all[dir] = append(all[dir], string(m[1]))
		}
		return err
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("found tests in %d packages, %v", len(all), err)
	}
	return all
}

// TestPromises: the page of the promises names tests that exist, in the packages
// where it says they are, and has a row for each promise and each case.
func TestPromises(t *testing.T) {
	page, all := read(t, "../docs/promises.md"), tests(t)
	everywhere := slices.Concat(slices.Collect(maps.Values(all))...)
	for _, m := range testNamed.FindAllStringSubmatch(page, -1) {
		if !exists(everywhere, m[1], m[2]) {
			t.Errorf("there is no test %s%s", m[1], m[2])
		}
	}
	for _, m := range packageOf.FindAllStringSubmatch(page, -1) {
		for _, n := range testNamed.FindAllStringSubmatch(m[2], -1) {
			if !exists(all[m[1]], n[1], n[2]) {
				t.Errorf("there is no test %s in %s", n[0], m[1])
			}
		}
	}
	for family, n := range map[string]int{"P": 20, "N": 19} {
		for i := range n {
			if row := fmt.Sprintf("\n| %s%d | ", family, i+1); strings.Count(page, row) != 1 {
				t.Errorf("%d rows begin with %q", strings.Count(page, row), row)
			}
		}
	}
	checkTestCommands(t, page, all)
}

// exists says whether one of the names is name, or begins with it if there is a
// star.
func exists(names []string, name, star string) bool {
	return slices.ContainsFunc(names, func(s string) bool { return s == name || star != "" && strings.HasPrefix(s, name) })
}

// checkTestCommands: each go test of a page runs a test of its package.
func checkTestCommands(t *testing.T, page string, all map[string][]string) {
	t.Helper()
	commands := testCommand.FindAllStringSubmatch(page, -1)
	if len(commands) != 8 {
		t.Errorf("%d commands are understood, there are eight", len(commands))
	}
	for _, m := range commands {
		if !exists(all[m[1]], m[2], "") {
			t.Errorf("%s: there is no such test", m[0])
		}
	}
}
