package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNaming(t *testing.T) {
	for _, c := range []struct {
		id, test string
		want     bool
	}{
		{"A1", "TestDialogues/A1_injection", true},
		{"A1", "TestSHA1", false},
		{"A1", "TestA12Names", false},
		{"X5", "TestX5SlowBody", true},
		{"X5", "TestNames/X509", false},
		{"R16", "TestMaxSizeR16", true},
		{"P3", "TestPowerCutP1P2P3P4", true},
		{"S1–S9", "TestFraming/plain/S7", true},
		{"S1–S9", "TestFraming/plain/S10", false},
		{"relay", "TestRelay", false},
	} {
		if got := naming(c.id).MatchString(c.test); got != c.want {
			t.Errorf("%s has %s: %t", c.id, c.test, got)
		}
	}
}

// said is what go test -json writes of three packages.
const said = `{"Action":"run","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5"}
{"Action":"run","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5/one"}
{"Action":"output","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5/one","Output":"noise\n"}
{"Action":"pass","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5/one"}
{"Action":"run","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5/two"}
{"Action":"attr","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5/two","Key":"tried","Value":"40"}
{"Action":"pass","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5/two"}
{"Action":"pass","Package":"github.com/waxwing-mail/waxwing/a","Test":"TestX5"}
{"Action":"output","Package":"github.com/waxwing-mail/waxwing/a","Output":"ok a 1s\n"}
{"Action":"pass","Package":"github.com/waxwing-mail/waxwing/a"}
{"Action":"run","Package":"github.com/waxwing-mail/waxwing/b","Test":"TestOther"}
{"Action":"skip","Package":"github.com/waxwing-mail/waxwing/b","Test":"TestX5Skipped"}
{"Action":"pass","Package":"github.com/waxwing-mail/waxwing/b","Test":"TestOther"}
`

const want = "| X5 | in | out | 42 | `go test ./a ./b -run '^(TestOther\\|TestX5)$'` |\n"

func TestRun(t *testing.T) {
	cases, err := readCases("# a comment\nX5 | in | out | b.TestOther\n")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	l, err := listen(strings.NewReader(said), &out)
	if err != nil || out.String() != "ok a 1s\n" {
		t.Fatalf("%q, %v", out.String(), err)
	}
	rows, total, err := count(cases, l)
	if twice, again, err := count(slices.Concat(cases, cases), l); total != 42 || again != total || len(twice) != 2 || err != nil {
		t.Errorf("%d inputs, and %d if they are of two kinds; %v", total, again, err)
	}
	if err != nil || !strings.Contains(table(rows, total), want) {
		t.Fatalf("%s, %v", table(rows, total), err)
	}
	page, err := replace("before\n"+begin+"old\n"+end+"after\n", table(rows, total))
	if err != nil || !strings.HasPrefix(page, "before\n") || !strings.HasSuffix(page, end+"after\n") || strings.Contains(page, "old") {
		t.Fatalf("%s, %v", page, err)
	}
	for published, ok := range map[string]bool{"42": true, "1": true, "46": true, "47": false} {
		if err := compare(strings.Replace(page, "42", published, 1), rows); (err == nil) != ok {
			t.Errorf("the page says %s: %v", published, err)
		}
	}
	if compare("", rows) == nil || compare(page+strings.Replace(want, "X5", "X6", 1), rows) == nil {
		t.Error("a row is missing, or too much, and nothing is said")
	}
}

func TestRunFails(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte(begin+end), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(strings.NewReader(said), &out, page, true); err == nil || !strings.Contains(err.Error(), "nothing tries S1–S9") {
		t.Errorf("cases are not tried: %v", err)
	}
	failing := said + `{"Action":"output","Package":"c","Test":"TestC","Output":"why\n"}
{"Action":"fail","Package":"c","Test":"TestC"}
{"Action":"fail","Package":"c"}
no JSON
`
	if err := run(strings.NewReader(failing), &out, page, true); err == nil || !strings.Contains(out.String(), "why\n") || !strings.Contains(out.String(), "no JSON\n") {
		t.Errorf("a test fails: %v\n%s", err, out.String())
	}
}
