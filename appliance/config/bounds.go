package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits of the file. The parser and the evaluation recurse without one of
// their own, and a stack overflow cannot be recovered from: a reload with a
// bad file would kill a running server.
const (
	maxSource    = 1 << 20 // octets
	maxNesting   = 100     // brackets, braces, templates and blocks within each other
	maxOperators = 1000    // operators whose operands nest, over all brackets around a place
	maxBlocks    = 1000    // blocks at the top level
	maxDigits    = 19      // of a number
	maxLines     = 10_000  // of all heredocs; the parser takes quadratic time for one
)

// inBounds says whether the parser may see the file, and returns its tokens.
func inBounds(c *collector) (hclsyntax.Tokens, bool) {
	src := c.src
	if len(src.text) > maxSource {
		c.errorf(place{}, "the file is too large", "It has %d bytes; at most %d are allowed.", len(src.text), maxSource)
		return nil, false
	}
	if !encoded(c) {
		return nil, false
	}
	// The lexer is a state machine: it does not recurse.
	tokens, _ := hclsyntax.LexConfig(src.text, src.name, hcl.InitialPos)
	if at, why := excess(tokens); why != "" {
		c.errorf(place{span: at}, why, "The limits are %d brackets within each other and %d operators in one expression.", maxNesting, maxOperators)
		return tokens, false
	}
	return tokens, closed(c, tokens) && plain(c, tokens)
}

// encoded says whether the file is UTF-8 text.
func encoded(c *collector) bool {
	text := c.src.text
	for _, bom := range []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
		if bytes.HasPrefix(text, []byte(bom)) {
			c.errorf(place{}, "the file begins with a byte order mark", "Save it as UTF-8 without a byte order mark.")
			return false
		}
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		c.errorf(place{span: span{i, i + 1}}, "NUL in the file", "Line %d holds a NUL byte. Is this a text file, saved as UTF-8?", c.src.line(i))
		return false
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			c.errorf(place{span: span{i, i + 1}}, "the file is not UTF-8", "Line %d holds a byte that is not part of a character. Save the file as UTF-8.", c.src.line(i))
			return false
		}
		i += size
	}
	return true
}

// closed says whether every quoted string ends on its line. If one does not,
// what follows is read inside out, and nothing else that could be said about
// the file would help.
func closed(c *collector, tokens hclsyntax.Tokens) bool {
	var open hcl.Range
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOQuote:
			open = t.Range
		case hclsyntax.TokenQuotedNewline:
			c.errorf(place{span: spanOf(open)}, "this string does not end", `Close it with " on the same line; a line break within a string is written \n.`)
			return false
		}
	}
	return true
}

// plain says whether the file keeps to numbers and templates that are cheap
// to parse and evaluate: "%{ if }" nests without brackets, and 1e999999999 is
// a short way to write a very long string.
func plain(c *collector, tokens hclsyntax.Tokens) bool {
	ok := true
	lines := 0
	for _, t := range tokens {
		if t.Type == hclsyntax.TokenStringLit {
			lines++
		}
		switch at := (place{span: spanOf(t.Range)}); {
		case t.Type == hclsyntax.TokenTemplateControl:
			c.errorf(at, "template directives are not part of this language", "Write %%%%{ for the characters %%{, or use a condition: a ? b : c.")
			ok = false
		case t.Type == hclsyntax.TokenNumberLit && (len(t.Bytes) > maxDigits || bytes.ContainsAny(t.Bytes, "eE")):
			c.errorf(at, "this number cannot be used", "Write it with at most %d digits and without an exponent.", maxDigits)
			ok = false
		case lines > maxLines:
			c.errorf(at, "heredocs are too long", "They can have %d lines in all. Put the text into a file, and write file(\"/path\").", maxLines)
			return false
		}
	}
	return ok
}

var closers = map[hclsyntax.TokenType]hclsyntax.TokenType{
	hclsyntax.TokenOParen:          hclsyntax.TokenCParen,
	hclsyntax.TokenOBrack:          hclsyntax.TokenCBrack,
	hclsyntax.TokenOBrace:          hclsyntax.TokenCBrace,
	hclsyntax.TokenOQuote:          hclsyntax.TokenCQuote,
	hclsyntax.TokenOHeredoc:        hclsyntax.TokenCHeredoc,
	hclsyntax.TokenTemplateInterp:  hclsyntax.TokenTemplateSeqEnd,
	hclsyntax.TokenTemplateControl: hclsyntax.TokenTemplateSeqEnd,
}

// excess finds the first place where the file nests too deep. It counts what
// makes the parser or the evaluation recurse: brackets of any sort, and the
// operators that can stand between them in a row, such as !!!!x, a ? b : c ?
// d : e, a + b + c or a.b.c[0][1]. It overestimates where brackets do not
// match, and never underestimates: a bracket is taken to be closed only by
// its own closer.
func excess(tokens hclsyntax.Tokens) (span, string) {
	type level struct {
		closer    hclsyntax.TokenType
		operators int
	}
	stack := []level{{}}
	operators := 0
	reset := func() {
		operators -= stack[len(stack)-1].operators
		stack[len(stack)-1].operators = 0
	}
	for _, t := range tokens {
		top := &stack[len(stack)-1]
		closer, opens := closers[t.Type]
		switch {
		case len(stack) > 1 && t.Type == top.closer:
			reset()
			stack = stack[:len(stack)-1]
		case t.Type == hclsyntax.TokenComma:
			reset()
		case t.Type == hclsyntax.TokenNewline && (top.closer == 0 || top.closer == hclsyntax.TokenCBrace):
			reset() // elsewhere an expression goes on over the line end
		case opens || isOperator(t.Type):
			// A bracket counts as an operator as well: a[0][1] nests.
			top.operators++
			operators++
		}
		if opens {
			stack = append(stack, level{closer: closer})
		}
		if len(stack)-1 > maxNesting {
			return spanOf(t.Range), "brackets or blocks nest too deep"
		}
		if operators > maxOperators {
			return spanOf(t.Range), "the expression is too long"
		}
	}
	return span{}, ""
}

func isOperator(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar,
		hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
		hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan,
		hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenQuestion,
		hclsyntax.TokenColon, hclsyntax.TokenDot:
		return true
	}
	return false
}

// parse returns the body of the file. Blocks on one line are spread first.
func parse(c *collector, w words) (*hclsyntax.Body, bool) {
	tokens, ok := inBounds(c)
	c.src.setMasks(maskTokens(tokens, w)) // until the parser knows more
	if tokens == nil {
		c.src.setMasks([]span{{0, len(c.src.text)}})
	}
	if !ok {
		return nil, false
	}
	file, diags := hclsyntax.ParseConfig(spread(c.src.text, tokens), c.src.name, hcl.InitialPos)
	if diags.HasErrors() {
		c.hcl("", diags)
		return nil, false
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		panic(fmt.Sprintf("config: the parser returned a %T", file.Body))
	}
	return body, true
}
