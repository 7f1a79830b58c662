package cmd

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// plainWidth is how wide lists are where there is no terminal, in columns.
const plainWidth = 80

// wideFlag adds --wide to a command that writes a list.
func (p *program) wideFlag(c *cobra.Command) {
	c.Flags().BoolVar(&p.wide, "wide", false, "everything in full, however wide; without it lists fit the terminal, or 80 columns")
}

// width is how wide a list may be; 0 is no limit.
func (p *program) width() int {
	if p.wide {
		return 0
	}
	f, ok := p.out.(*os.File)
	if !ok {
		return plainWidth
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return plainWidth
	}
	return width
}
