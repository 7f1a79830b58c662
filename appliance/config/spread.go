package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// spread makes plain HCL of blocks that stand on one line with more than one
// item, log { level = "info"  format = "json" }, which HCL itself does not
// take: the spaces between the items become line ends. No byte is added or
// removed, so that every offset stays true. Where there is no space, nothing
// changes and the parser complains.
func spread(src []byte, tokens hclsyntax.Tokens) []byte {
	s := &spreader{src: bytes.Clone(src), tokens: tokens, stack: []*brace{{body: true, open: -1}}}
	for s.i = 0; s.i < len(tokens); s.i++ {
		s.token(tokens[s.i])
	}
	return s.src
}

type spreader struct {
	src    []byte
	tokens hclsyntax.Tokens
	i      int
	stack  []*brace
}

// A brace is a bracket that is open. Within a block it knows the items.
type brace struct {
	body   bool // of a block; otherwise part of an expression
	open   int  // index of its token
	closer hclsyntax.TokenType
	items  []int // first token of each attribute and block
	nested bool  // one of the items is a block
	inExpr bool  // the value of an attribute goes on
}

func (s *spreader) token(t hclsyntax.Token) {
	top := s.stack[len(s.stack)-1]
	closer, opens := closers[t.Type]
	switch {
	case opens:
		s.push(&brace{open: s.i, closer: closer})
	case len(s.stack) > 1 && t.Type == top.closer:
		s.stack = s.stack[:len(s.stack)-1]
		if top.body {
			s.stack[len(s.stack)-1].inExpr = false
			s.split(top, s.i)
		}
	case !top.body:
	case t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment:
		top.inExpr = false
	case t.Type == hclsyntax.TokenIdent:
		s.item(top)
	}
}

func (s *spreader) push(b *brace) { s.stack = append(s.stack, b) }

// item notes what an identifier within a block begins, if anything.
func (s *spreader) item(top *brace) {
	if s.typeAt(s.i+1) == hclsyntax.TokenEqual {
		// Within an expression a single "=" stands in braces only: this is
		// the next attribute.
		top.items, top.inExpr = append(top.items, s.i), true
		return
	}
	if top.inExpr {
		return
	}
	top.items, top.nested = append(top.items, s.i), true
	j := s.i + 1
	for s.isLabel(j) {
		j++
	}
	s.i = j - 1
	if s.typeAt(j) == hclsyntax.TokenOBrace {
		s.push(&brace{body: true, open: j, closer: hclsyntax.TokenCBrace})
		s.i = j
	}
}

func (s *spreader) isLabel(i int) bool {
	switch s.typeAt(i) {
	case hclsyntax.TokenIdent, hclsyntax.TokenOQuote, hclsyntax.TokenQuotedLit, hclsyntax.TokenCQuote:
		return true
	}
	return false
}

func (s *spreader) typeAt(i int) hclsyntax.TokenType {
	if i < len(s.tokens) {
		return s.tokens[i].Type
	}
	return hclsyntax.TokenEOF
}

// split puts the items of a block that begins and ends on the same line on
// lines of their own.
func (s *spreader) split(b *brace, end int) {
	open := s.tokens[b.open].Range
	if open.Start.Line != s.tokens[end].Range.Start.Line || len(b.items) < 2 && !b.nested {
		return
	}
	spaces := []int{open.End.Byte}
	for _, i := range append(b.items[1:], end) {
		spaces = append(spaces, s.tokens[i].Range.Start.Byte-1)
	}
	for _, at := range spaces {
		if s.src[at] != ' ' && s.src[at] != '\t' {
			return
		}
	}
	for _, at := range spaces {
		s.src[at] = '\n'
	}
}
