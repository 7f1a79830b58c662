package appliance_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackageComments: the package comment is the manual of the package, so
// there is one, in one file.
func TestPackageComments(t *testing.T) {
	comments := make(map[string][]string) // directory to the files that have one
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.Dir(p)
		files := comments[dir]
		if f.Doc != nil {
			files = append(files, filepath.Base(p))
		}
		comments[dir] = files
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(comments) < 20 {
		t.Fatalf("only %d packages seen: the test looks in the wrong place", len(comments))
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s: %d files have a package comment: %v", dir, len(files), files)
		}
	}
}
