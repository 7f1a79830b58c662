// Package fielddoc takes what the manual says about an attribute from where
// its author wrote it: the comment of the struct field that holds it. Comments
// are not part of a program, so this happens in the source tree, and the
// result is a file that programs embed.
package fielddoc

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance/config"
)

// Texts are the comments of fields: by struct, as its import path and name,
// then by field.
type Texts map[string]map[string]string

// A Tree is the source of a Go module.
type Tree struct {
	Module string // its path, "github.com/waxwing-mail/waxwing"
	Dir    string // where it lies

	packages map[string]Texts // by import path: the comments of all its structs, by the name of the type
}

// keyOf names a struct in Texts.
func keyOf(owner reflect.Type) string { return owner.PkgPath() + "." + owner.Name() }

// Extract returns the comments of all fields that the attributes come from,
// wherever the structs are declared. A field without a comment is an error:
// the manual would have a hole there.
func (t *Tree) Extract(attributes ...config.Attribute) (Texts, error) {
	all := make(Texts)
	return all, t.extract(all, attributes)
}

func (t *Tree) extract(all Texts, attributes []config.Attribute) error {
	for _, a := range attributes {
		fields, err := t.fields(a.Owner)
		if err != nil {
			return err
		}
		text := fields[a.Field]
		if text == "" {
			return fmt.Errorf("%s.%s has no comment: write what %s does, for the administrator", keyOf(a.Owner), a.Field, a.Name)
		}
		key := keyOf(a.Owner)
		if all[key] == nil {
			all[key] = make(map[string]string)
		}
		all[key][a.Field] = text
		if err := t.extract(all, a.Block); err != nil {
			return err
		}
	}
	return nil
}

// fields returns the comments of one struct.
func (t *Tree) fields(owner reflect.Type) (map[string]string, error) {
	path := owner.PkgPath()
	rest, ok := strings.CutPrefix(path+"/", t.Module+"/")
	if !ok {
		return nil, fmt.Errorf("%s is not declared in %s", owner, t.Module)
	}
	if t.packages[path] == nil {
		structs, err := readPackage(filepath.Join(t.Dir, filepath.FromSlash(rest)))
		if err != nil {
			return nil, err
		}
		if t.packages == nil {
			t.packages = make(map[string]Texts)
		}
		t.packages[path] = structs
	}
	return t.packages[path][owner.Name()], nil
}

// readPackage returns the comments of the fields of all structs of a package.
func readPackage(dir string) (Texts, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	structs := make(Texts)
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = structComments(s)
				}
			}
			return true
		})
	}
	return structs, nil
}

func structComments(s *ast.StructType) map[string]string {
	comments := make(map[string]string)
	for _, f := range s.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, name := range f.Names {
			comments[name.Name] = strings.TrimSpace(text)
		}
	}
	return comments
}
