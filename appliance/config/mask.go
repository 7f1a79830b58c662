package config

import (
	"reflect"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Snippets show lines of the file, and secrets stand in files: what is
// assigned to an attribute is masked unless the attribute is known and not
// secret. A misspelt "pasword" is not known.

// maskBody returns the masks of a body that could be parsed. A nil schema
// knows nothing.
func maskBody(body *hclsyntax.Body, s *schema) []span {
	var all []span
	for _, attr := range sortedAttributes(body) {
		if f := s.attribute(attr.Name); f == nil || isSecret(f.typ) {
			all = append(all, maskExpression(attr.Expr)...)
		}
	}
	for _, block := range body.Blocks {
		var inner *schema
		if f := s.block(block.Type); f != nil {
			inner = f.inner
		}
		all = append(all, maskBody(block.Body, inner)...)
	}
	return all
}

// maskExpression masks all of an expression, except references and the
// argument that says where env() or file() find the value.
func maskExpression(expr hclsyntax.Expression) []span {
	switch e := expr.(type) {
	case *hclsyntax.FunctionCallExpr:
		if !isSourceFunction(e.Name) || len(e.Args) == 0 || !isLiteral(e.Args[0]) {
			break
		}
		var all []span
		for _, arg := range e.Args[1:] {
			all = append(all, spanOf(arg.Range()))
		}
		return all
	case *hclsyntax.ScopeTraversalExpr:
		if len(e.Traversal) == 2 && isKind(e.Traversal.RootName()) {
			return nil
		}
	case *hclsyntax.TupleConsExpr:
		var all []span
		for _, item := range e.Exprs {
			all = append(all, maskExpression(item)...)
		}
		return all
	}
	return []span{spanOf(expr.Range())}
}

// isSecret says whether a field holds a secret.
func isSecret(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return isSecret(t.Elem())
	}
	return t == reflect.TypeFor[appliance.Secret]()
}

// Words is what is known of attribute names before the file is parsed: those
// that are nowhere secret, and those that are somewhere.
type words struct{ open, secret map[string]bool }

func newWords(schemas ...*schema) words {
	w := words{open: map[string]bool{}, secret: map[string]bool{}}
	for _, s := range schemas {
		w.learn(s)
	}
	for name := range w.secret {
		delete(w.open, name)
	}
	return w
}

func (w words) learn(s *schema) {
	for _, f := range s.fields {
		switch {
		case f.inner != nil:
			w.learn(f.inner)
		case isSecret(f.typ):
			w.secret[f.name] = true
		default:
			w.open[f.name] = true
		}
	}
}

// maskTokens returns the masks of a file that could not be parsed: from each
// "name =" with a name that is not known to be harmless, and from each name
// that is known to be secret, to the end of what could be its value.
func maskTokens(tokens hclsyntax.Tokens, w words) []span {
	var all []span
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].Type != hclsyntax.TokenIdent {
			continue
		}
		name := tokens[i].Bytes
		assigned := tokens[i+1].Type == hclsyntax.TokenEqual
		if !w.secret[string(name)] && (!assigned || w.open[string(name)]) {
			continue
		}
		first := i + 1
		if assigned {
			first++
		}
		last := endOfValue(tokens, first)
		if last > first {
			all = append(all, span{tokens[first].Range.Start.Byte, tokens[last-1].Range.End.Byte})
		}
		i = max(i, last-1)
	}
	return all
}

// endOfValue returns the index after the last token of the value that begins
// at first: the end of the line, outside of brackets and heredocs.
func endOfValue(tokens hclsyntax.Tokens, first int) int {
	depth := 0
	for i := first; i < len(tokens); i++ {
		switch t := tokens[i].Type; {
		case t == hclsyntax.TokenEOF:
			return i
		case depth <= 0 && (t == hclsyntax.TokenNewline || t == hclsyntax.TokenQuotedNewline):
			return i
		case t == hclsyntax.TokenOQuote:
			// Its end is sure to be on the line, or the file is not looked at further.
		case closers[t] != 0:
			depth++
		case t == hclsyntax.TokenCParen || t == hclsyntax.TokenCBrack || t == hclsyntax.TokenCBrace ||
			t == hclsyntax.TokenCHeredoc || t == hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
	}
	return len(tokens)
}
