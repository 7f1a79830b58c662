package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzFormat: what can be laid out is laid out once and for all, and only white
// space is another.
func FuzzFormat(f *testing.F) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("a \"b\" {x=<<E\n  ${\"}\"}\n E\n}\n/* */c{d=1}#"))
	f.Fuzz(func(t *testing.T, src []byte) {
		out, ds := Format("mail.hcl", src)
		if ds.HasErrors() {
			return
		}
		again, ds := Format("mail.hcl", out)
		if ds.HasErrors() || !bytes.Equal(again, out) {
			t.Errorf("%q became %q, and that %q, %v", src, out, again, ds)
		}
		if !bytes.Equal(solid(src), solid(out)) {
			t.Errorf("%q became %q", src, out)
		}
	})
}

// solid is src without white space.
func solid(src []byte) []byte { return bytes.Join(bytes.Fields(src), nil) }
