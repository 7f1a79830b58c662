package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// The functions that bring values from outside into the file.
const (
	envFunction  = "env"
	fileFunction = "file"
)

// maxFile is the largest file that file() reads, in octets.
const maxFile = 1 << 20

func isSourceFunction(name string) bool { return name == envFunction || name == fileFunction }

// readBounded is the default of Options.ReadFile. It opens regular files
// only: a FIFO would wait for ever.
func readBounded(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// sources calls env() and file() and remembers what came of it.
type sources struct {
	options Options
	dir     string // relative paths start here
	conceal func(string)
	results []string // of the block that is being decoded, for its fingerprint
	exposed []string // files of the attribute that is being decoded that anybody can read
}

// call is env(name), env(name, default) or file(path).
func (s *sources) call(name string, args []string) (string, error) {
	var value string
	var err error
	if name == envFunction {
		value, err = s.env(args)
	} else {
		value, err = s.file(args)
	}
	if err == nil {
		s.results = append(s.results, value)
		s.conceal(value)
	}
	return value, err
}

func (s *sources) env(args []string) (string, error) {
	switch value, ok := s.options.Getenv(args[0]); {
	case ok:
		return value, nil
	case len(args) > 1:
		return args[1], nil
	}
	return "", fmt.Errorf("the environment variable %s is not set; set it, or write a default: env(%q, \"…\")", args[0], args[0])
}

func (s *sources) file(args []string) (string, error) {
	path := args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	content, err := s.options.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no file %s", path)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("the file %s cannot be read: permission denied", path)
	case err != nil:
		return "", fmt.Errorf("the file %s cannot be read: %w", path, err)
	case len(content) > maxFile:
		return "", fmt.Errorf("the file %s is larger than %d bytes", path, maxFile)
	}
	if fi, err := s.options.Stat(path); err == nil && fi.Mode().Perm()&0o004 != 0 {
		s.exposed = append(s.exposed, path)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

// context is what attributes are evaluated in: two functions, no variables.
func (s *sources) context() *hcl.EvalContext {
	source := func(name string, optional bool) function.Function {
		spec := &function.Spec{
			Params: []function.Parameter{{Name: "name", Type: cty.String}},
			Type:   function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				if len(args) > 2 {
					return cty.NilVal, errors.New("it takes a name and at most one default")
				}
				var texts []string
				for _, a := range args {
					texts = append(texts, a.AsString())
				}
				value, err := s.call(name, texts)
				return cty.StringVal(value), err
			},
		}
		if optional {
			spec.VarParam = &function.Parameter{Name: "default", Type: cty.String}
		}
		return function.New(spec)
	}
	return &hcl.EvalContext{Functions: map[string]function.Function{
		envFunction:  source(envFunction, true),
		fileFunction: source(fileFunction, false),
	}}
}

// direct evaluates an expression that is nothing but env("X") or file("X"):
// its result is then the value octet by octet, which a cty string, being in
// Unicode normal form, is not.
func (s *sources) direct(expr hclsyntax.Expression) (value string, err error, ok bool) { //nolint:revive // ok last, as everywhere
	call, isCall := expr.(*hclsyntax.FunctionCallExpr)
	if !isCall || !isSourceFunction(call.Name) || call.ExpandFinal {
		return "", nil, false
	}
	most := 1
	if call.Name == envFunction {
		most = 2
	}
	if len(call.Args) < 1 || len(call.Args) > most {
		return "", nil, false
	}
	var args []string
	for _, a := range call.Args {
		text, literal := literalString(a)
		if !literal {
			return "", nil, false
		}
		args = append(args, text)
	}
	value, err = s.call(call.Name, args)
	return value, err, true
}

// literalString returns the value of a quoted string without templates.
func literalString(expr hclsyntax.Expression) (string, bool) {
	t, ok := expr.(*hclsyntax.TemplateExpr)
	if !ok || !t.IsStringLiteral() {
		return "", false
	}
	v, diags := t.Value(nil)
	if diags.HasErrors() || v.Type() != cty.String {
		return "", false
	}
	return v.AsString(), true
}

func isLiteral(expr hclsyntax.Expression) bool {
	_, ok := literalString(expr)
	return ok
}

// A use is what an expression is made of.
type use struct {
	calls   []*hclsyntax.FunctionCallExpr
	sources bool // it calls env() or file()
}

// examine walks an expression and reports what the language does not have.
func examine(c *collector, context string, expr hclsyntax.Expression, functions []string) (u use, ok bool) {
	ok = true
	report := func(n hclsyntax.Node, summary, detail string) {
		c.errorf(place{spanOf(n.Range()), context}, summary, "%s", detail)
		ok = false
	}
	diags := hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			report(n, "for expressions are not part of this language", "Write out the list.")
		case *hclsyntax.TemplateJoinExpr, *hclsyntax.SplatExpr:
			report(n, "this is not part of the language", "Write out the value.")
		case *hclsyntax.FunctionCallExpr:
			if !slices.Contains(functions, n.Name) {
				report(n, fmt.Sprintf("unknown function %s()", n.Name),
					"The functions here are "+list(functions)+"."+didYouMean(n.Name, functions))
			}
			u.calls = append(u.calls, n)
			u.sources = u.sources || isSourceFunction(n.Name)
		}
		return nil
	})
	c.hcl(context, diags)
	return u, ok && !diags.HasErrors()
}

// list is "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
