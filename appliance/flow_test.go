package appliance_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var flowLink = regexp.MustCompile("\\[`(\\w+)`\\]\\(([^)]+)\\)")

// TestFlow keeps docs/flow.md true: what it names is where it says.
func TestFlow(t *testing.T) {
	page, err := os.ReadFile("../docs/flow.md")
	if err != nil {
		t.Fatal(err)
	}
	links := flowLink.FindAllSubmatch(page, -1)
	if len(links) < 30 {
		t.Fatalf("only %d links found: the test reads the wrong thing", len(links))
	}
	for _, l := range links {
		name, file := string(l[1]), filepath.Join("../docs", string(l[2]))
		src, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |package )` + name + `\b`)
		if !declared.Match(src) {
			t.Errorf("%s is not declared in %s", name, file)
		}
	}
}
