package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const modulePath = "github.com/waxwing-mail/waxwing/"

// An event is a line of go test -json.
type event struct {
	Action, Package, ImportPath, Test, Output, Key, Value string
}

type testName struct{ pkg, test string }

// listened is what the tests have said.
type listened struct {
	passed  []testName // in the order in which they passed
	inputs  map[testName]int
	parents map[testName]bool
}

// listen reads events to their end. It prints what go test would print: a line
// for each package, and what tests have said that fail.
func listen(in io.Reader, out io.Writer) (*listened, error) {
	l := &listened{inputs: make(map[testName]int), parents: make(map[testName]bool)}
	said := make(map[testName]string)
	failed := 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			_, _ = fmt.Fprintf(out, "%s\n", lines.Bytes()) // of the go command itself
			continue
		}
		n := testName{e.Package, e.Test}
		switch e.Action {
		case "output", "build-output":
			said[n] += e.Output
		case "pass", "skip":
			if e.Test == "" {
				_, _ = io.WriteString(out, lastLine(said[n]))
			}
			delete(said, n)
		case "fail", "build-fail":
			_, _ = io.WriteString(out, said[n])
			if delete(said, n); e.Test == "" {
				failed++
			}
		}
		l.learn(e)
	}
	if failed > 0 {
		return nil, fmt.Errorf("%d packages fail", failed)
	}
	return l, lines.Err()
}

// maxLine is the longest line of output that is understood, in octets.
const maxLine = 16 << 20

// lastLine is all that go test says of a package that passes.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1] + "\n"
}

func (l *listened) learn(e event) {
	n := testName{strings.TrimPrefix(e.Package, modulePath), e.Test}
	if e.Test == "" {
		return
	}
	switch e.Action {
	case "attr":
		if count, err := strconv.Atoi(e.Value); err == nil && e.Key == "tried" {
			l.inputs[n] = count
		}
	case "pass":
		l.passed = append(l.passed, n)
	case "run":
		for at, c := range n.test {
			if c == '/' {
				l.parents[testName{n.pkg, n.test[:at]}] = true
			}
		}
	}
}

// tries is how many inputs a test has tried itself.
func (l *listened) tries(n testName) int {
	switch count, told := l.inputs[n]; {
	case told:
		return count
	case l.parents[n]:
		return 0
	}
	return 1
}
