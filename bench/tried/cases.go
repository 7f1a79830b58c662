package main

import (
	_ "embed" // the list of cases
	"fmt"
	"regexp"
	"strings"
)

//go:embed cases.txt
var caseList string

// A hostile is a kind of input that is tried.
type hostile struct {
	id      string // "S1", "S1–S9", or a word
	input   string
	outcome string
	also    []string // names of tests without the id in it, with their package
	named   *regexp.Regexp
}

// readCases reads cases.txt: id, input, outcome and perhaps other tests, with
// | between them.
func readCases(text string) (all []hostile, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) != 3 && len(fields) != 4 {
			return nil, fmt.Errorf("%q has %d fields", line, len(fields))
		}
		c := hostile{id: fields[0], input: fields[1], outcome: fields[2], named: naming(fields[0])}
		if len(fields) == 4 {
			c.also = strings.Fields(fields[3])
		}
		all = append(all, c)
	}
	return all, nil
}

// naming matches names of tests that have the id: not A1 in SHA1 or in A12. A
// word matches nothing.
func naming(id string) *regexp.Regexp {
	if !strings.ContainsAny(id, "0123456789") {
		return regexp.MustCompile(`[^\s\S]`)
	}
	family, numbers := id[:1], id[1:]
	if first, last, ok := strings.Cut(numbers, "–"); ok {
		numbers = "[" + first + "-" + last[1:] + "]"
	}
	return regexp.MustCompile(`(?:^|[^A-Z])` + family + numbers + `(?:[^0-9]|$)`)
}

// has says whether a test belongs to the case.
func (c *hostile) has(pkg, test string) bool {
	if c.named.MatchString(test) {
		return true
	}
	for _, name := range c.also {
		if full := pkg + "." + test; full == name || strings.HasPrefix(full, name+"/") {
			return true
		}
	}
	return false
}
