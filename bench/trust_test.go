package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The marks are in the document, so that the table can be written again.
func TestTrustMarks(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("..", trustDocument))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "copy.md")
	if err := os.WriteFile(file, src, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"| first |\n", "| second |\n"} {
		if err := replaceBetween(file, trustBegin, trustEnd, table); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(src), trustBegin)
	_, after, _ := strings.Cut(string(src), trustEnd)
	if want := before + trustBegin + "\n| second |\n\n" + trustEnd + after; string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := replaceBetween(file, "<!-- no such mark -->", trustEnd, ""); err == nil {
		t.Error("a document without the mark was written")
	}
}
