package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A row is a case and how often it was tried.
type row struct {
	hostile
	inputs   int
	packages []string
	tests    []string // of the top level
}

// count fails if a case is not tried. An input can be of several cases: in the
// total it is once.
func count(cases []hostile, l *listened) (rows []row, total int, err error) {
	counted := make(map[testName]bool)
	for _, c := range cases {
		r := row{hostile: c}
		for _, n := range l.passed {
			tries := l.tries(n)
			if tries == 0 || !c.has(n.pkg, n.test) {
				continue
			}
			top, _, _ := strings.Cut(n.test, "/")
			r.inputs += tries
			if !counted[n] {
				counted[n] = true
				total += tries
			}
			r.packages = append(r.packages, "./"+n.pkg)
			r.tests = append(r.tests, top)
		}
		if r.inputs == 0 {
			err = errors.Join(err, fmt.Errorf("nothing tries %s: %s", c.id, c.input))
		}
		for _, list := range []*[]string{&r.packages, &r.tests} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
		rows = append(rows, r)
	}
	return rows, total, err
}

// command runs the tests of the row, and perhaps others beside them.
func (r *row) command() string {
	return fmt.Sprintf("go test %s -run '^(%s)$'", strings.Join(r.packages, " "), strings.Join(r.tests, `\|`))
}

func table(rows []row, total int) string {
	var b strings.Builder
	b.WriteString("| id | what comes | what happens | inputs | again |\n|---|---|---|---:|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %d | `%s` |\n", r.id, r.input, r.outcome, r.inputs, r.command())
	}
	fmt.Fprintf(&b, "\n%d inputs in all, of which some are of several kinds.\n", total)
	return b.String()
}

// Marks of the table in the page.
const (
	begin = "<!-- tried -->\n"
	end   = "<!-- end of tried -->\n"
)

func replace(page, table string) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("the page has no %s and %s", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + table + "\n" + end + after, nil
}

// published finds id and inputs of a row of the page.
var published = regexp.MustCompile(`(?m)^\| (\S+) \|.*\| (\d+) \| ` + "`go test ")

// compare fails if the page says more than has been tried. A tenth is left to
// suites that count steps of a store, of which there are a few more or less.
func compare(page string, rows []row) (err error) {
	said := make(map[string]int)
	for _, m := range published.FindAllStringSubmatch(page, -1) {
		said[m[1]], _ = strconv.Atoi(m[2])
	}
	for _, r := range rows {
		switch n, ok := said[r.id]; {
		case !ok:
			err = errors.Join(err, fmt.Errorf("the page has no row for %s; run with -update", r.id))
		case r.inputs*10 < n*9:
			err = errors.Join(err, fmt.Errorf("%s: %d inputs are tried, the page says %d; if that is as it should be, run with -update", r.id, r.inputs, n))
		}
		delete(said, r.id)
	}
	if len(said) > 0 {
		err = errors.Join(err, fmt.Errorf("%d rows of the page belong to no case; run with -update", len(said)))
	}
	return err
}
