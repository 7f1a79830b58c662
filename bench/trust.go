package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A trustTest is a run of tests that publish what they did as attributes:
// "what" they broke, how often they "tried", how many "messages" they looked for
// afterwards, and how many came "again".
type trustTest struct {
	pkg, run string
	flags    []string
}

var trustTests = []trustTest{
	{"./modules/store/disk", "TestPowerCutP1P2P3P4|TestPowerCutTwice|TestPowerCutConcurrent|TestPowerCutInRestore|TestFaultR4|TestFaultAtStart_R4", nil},
	{"./cmd/waxwing", "TestKillLosesNothing", nil},
	{"./cmd/waxwing", "TestKillAtSystemCalls_R6|TestKillAtStart_R6", []string{"-thorough"}},
}

const (
	trustDocument = "docs/durability.md"
	trustBegin    = "<!-- measured -->\n"
	trustEnd      = "<!-- end -->\n"
)

// trust runs the suites of crashes, faults and kills and writes what they did
// into the table of docs/durability.md. A suite that fails writes nothing.
func trust() error {
	var table strings.Builder
	table.WriteString("| what is done | times | messages looked for | lost or torn | sent again | test |\n|---|---|---|---|---|---|\n")
	for _, t := range trustTests {
		rows, err := t.rows()
		if err != nil {
			return err
		}
		table.WriteString(rows)
	}
	fmt.Print(table.String())
	return replaceBetween(trustDocument, trustBegin, trustEnd, table.String())
}

func (t trustTest) command() []string {
	return append([]string{"test", t.pkg, "-run", t.run, "-count=1", "-json"}, t.flags...)
}

// A testEvent is a line of go test -json.
type testEvent struct{ Action, Test, Key, Value, Output string }

// rows runs the tests and returns what they did, sorted.
func (t trustTest) rows() (string, error) {
	cmd := exec.Command("go", t.command()...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	seen := make(map[string]map[string]string)
	var rows []string
	var failure strings.Builder
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		var e testEvent
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		switch e.Action {
		case "attr":
			if seen[e.Test] == nil {
				seen[e.Test] = make(map[string]string)
			}
			seen[e.Test][e.Key] = e.Value
		case "output":
			failure.WriteString(e.Output)
		case "pass":
			if of := seen[e.Test]; of != nil {
				rows = append(rows, trustRow(e.Test, of))
			}
		}
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(t.command(), " "), err, failure.String())
	}
	if len(rows) == 0 {
		return "", fmt.Errorf("go %s: no test has published anything", strings.Join(t.command(), " "))
	}
	slices.Sort(rows)
	return strings.Join(rows, ""), nil
}

// trustRow is the row of a test that has passed, which it does only if nothing
// was lost or torn.
func trustRow(test string, of map[string]string) string {
	again := of["again"]
	if again == "" {
		again = "nothing that was recorded as delivered"
	}
	name, _, _ := strings.Cut(test, "/")
	return fmt.Sprintf("| %s | %s | %s | **0** | %s | %s |\n", of["what"], of["tried"], of["messages"], again, name)
}

// replaceBetween replaces what is between two marks of a file.
func replaceBetween(file, begin, end, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, okEnd := strings.Cut(rest, end)
	if !ok || !okEnd {
		return errors.New(file + " has not the marks " + strings.TrimSpace(begin) + " and " + strings.TrimSpace(end))
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
