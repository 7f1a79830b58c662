// Command tried counts the hostile inputs that the tests try. It reads what the
// tests say and makes the table of docs/security.md of it.
//
//	go test -json ./... | go run ./bench/tried           # the table there holds
//	go test -json ./... | go run ./bench/tried -update   # write it anew
//
// It prints what "go test" would print, and fails if a test fails, if a case of
// cases.txt is not tried at all, or if it is tried less often, by more than a tenth, than the page says.
//
// An input is a test, or a subtest without subtests, that has passed and has
// the id of the case in its name: TestX5/no_token/tcp is one of X5. A test that
// tries many inputs without subtests says how many: t.Attr("tried", "500").
// Tests whose names do not show what they are for stand in cases.txt.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	page := flag.String("page", "docs/security.md", "the page with the table")
	update := flag.Bool("update", false, "write the table")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *page, *update); err != nil {
		fmt.Fprintln(os.Stderr, "tried:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, page string, update bool) error {
	cases, err := readCases(caseList)
	if err != nil {
		return err
	}
	l, err := listen(in, out)
	if err != nil {
		return err
	}
	rows, total, err := count(cases, l)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	if !update {
		return compare(string(text), rows)
	}
	changed, err := replace(string(text), table(rows, total))
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(changed), 0o644)
}
