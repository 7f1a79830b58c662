package config

import "github.com/hashicorp/hcl/v2/hclwrite"

// Format lays out a configuration file in the one usual way, and writes
// blocks that have several attributes on one line over several. The meaning
// and the comments stay. A file with syntax errors is not touched.
func Format(filename string, src []byte) ([]byte, Diagnostics) {
	c := &collector{src: newSource(filename, src)}
	if _, ok := parse(c, newWords()); !ok {
		return nil, c.diagnostics()
	}
	tokens, _ := inBounds(c)
	return hclwrite.Format(spread(src, tokens)), nil
}
