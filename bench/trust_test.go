package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The marks are in the documents, so that their tables can be written again.
func TestMarks(t *testing.T) {
	for _, doc := range []struct{ name, begin, end string }{
		{trustDocument, trustBegin, trustEnd},
		{speedDocument, speedBegin, speedEnd},
	} {
		src, err := os.ReadFile(filepath.Join("..", doc.name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "copy.md")
		if err := os.WriteFile(file, src, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"| first |\n", "| second |\n"} {
			if err := replaceBetween(file, doc.begin, doc.end, table); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, _, _ := strings.Cut(string(src), doc.begin)
		_, after, _ := strings.Cut(string(src), doc.end)
		if want := before + doc.begin + "\n| second |\n\n" + doc.end + after; string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if err := replaceBetween(file, "<!-- no such mark -->", doc.end, ""); err == nil {
			t.Error("a document without the mark was written")
		}
	}
}
