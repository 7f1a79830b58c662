package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/modules/standard/fields"
)

// What docs knows besides modules.
const (
	docsSettings = "settings"
	docsPipeline = "pipeline"
)

func (p *program) docsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "docs [TYPE]",
		Short: "explain a module type, the settings, or pipelines",
		Long: `docs explains a module type and all its attributes; without an argument it lists what it can explain.
"docs settings" is about the top level of the file, "docs deliverability" about one of its blocks, "docs pipeline" about
the pipeline block.`,
		Example: "  waxwing docs\n  waxwing docs relay.mx\n  waxwing docs settings",
		Args:    cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return p.topics(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.listTopics()
			}
			page, err := p.page(args[0])
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, page)
			}
			return page.write(p.out)
		},
	}
	p.jsonFlag(c)
	return c
}

func (p *program) topics() []string {
	all := []string{docsSettings, docsPipeline}
	for _, r := range p.registry.All() {
		all = append(all, string(r.Kind)+"."+r.Name)
	}
	return all
}

// listTopics writes what docs can explain.
func (p *program) listTopics() error {
	type topic struct {
		Topic   string `json:"topic"`
		Summary string `json:"summary"`
	}
	var all []topic
	t := new(table)
	for _, name := range p.topics() {
		page, err := p.page(name)
		if err != nil {
			return err
		}
		all = append(all, topic{name, page.Summary})
		t.add(name, page.Summary)
	}
	if p.json {
		return writeJSON(p.out, all)
	}
	return t.write(p.out)
}

// A page explains one type of block.
type page struct {
	Heading    string     `json:"heading"` // as the block is written
	Summary    string     `json:"summary"`
	Attributes []docField `json:"attributes"`
	Example    string     `json:"example,omitempty"`
}

// docField is an attribute or a block, and what its author says about it.
type docField struct {
	config.Attribute
	Text  string     `json:"text,omitempty"`
	Inner []docField `json:"block,omitempty"`
}

func (p *program) page(topic string) (page, error) {
	switch topic {
	case docsSettings:
		return page{Heading: "the top level of the file", Summary: "settings of the server as a whole",
			Attributes: docFields(config.DescribeSettings())}, nil
	case docsPipeline:
		return page{Heading: `pipeline "NAME" { … }`, Summary: "the way of a message from its listeners into the queue",
			Attributes: docFields(config.DescribePipeline())}, nil
	}
	if f, ok := settingsBlock(topic); ok {
		return page{Heading: f.signature(), Summary: f.Text, Attributes: f.Inner}, nil
	}
	kind, name, _ := strings.Cut(strings.ReplaceAll(topic, " ", "."), ".")
	r, ok := p.registry.Get(appliance.Kind(kind), name)
	if !ok {
		return page{}, usagef("there is no module %q; it is written as KIND.TYPE, such as relay.mx, and \"waxwing docs\" lists all", topic)
	}
	return page{
		Heading: fmt.Sprintf("%s %q \"NAME\" { … }", r.Kind, r.Name), Summary: r.Summary,
		Attributes: docFields(config.Describe(r)), Example: r.Example,
	}, nil
}

// settingsBlock is one of the blocks of settings, such as limits.
func settingsBlock(name string) (docField, bool) {
	all := docFields(config.DescribeSettings())
	i := slices.IndexFunc(all, func(f docField) bool { return f.Name == name && f.Type == "block" })
	if i < 0 {
		return docField{}, false
	}
	return all[i], true
}

func docFields(attributes []config.Attribute) []docField {
	var all []docField
	for _, a := range attributes {
		all = append(all, docField{Attribute: a, Text: fields.Text(a.Owner, a.Field), Inner: docFields(a.Block)})
	}
	return all
}

// The layout of a page.
const (
	docIndent = "    "
	docWidth  = 78
)

func (pg page) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(pg.Heading + "\n")
	for _, line := range wrap(pg.Summary, docWidth-len(docIndent)) {
		b.WriteString(docIndent + line + "\n")
	}
	b.WriteString("\n")
	writeFields(&b, pg.Attributes, "")
	if len(pg.Attributes) == 0 {
		b.WriteString("It has no attributes.\n\n")
	}
	if pg.Example != "" {
		b.WriteString("Example:\n\n")
		for line := range strings.Lines(strings.TrimRight(pg.Example, "\n")) {
			b.WriteString(strings.TrimRight(docIndent+line, " "))
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func writeFields(b *strings.Builder, all []docField, indent string) {
	for _, f := range all {
		fmt.Fprintf(b, "%s%s\n", indent, f.signature())
		for _, line := range wrap(f.Text, docWidth-len(indent)-len(docIndent)) {
			b.WriteString(strings.TrimRight(indent+docIndent+line, " ") + "\n")
		}
		b.WriteString("\n")
		writeFields(b, f.Inner, indent+docIndent)
	}
}

// signature is the first line about a field.
func (f docField) signature() string {
	if f.Type == "block" {
		s := f.Name
		for _, l := range f.Labels {
			s += fmt.Sprintf(" %q", strings.ToUpper(l))
		}
		if s += " { … }"; f.Many {
			s += "  may be repeated"
		}
		return s
	}
	s := f.Name + "  " + f.Type
	if f.Required {
		s += ", required"
	}
	if f.Default != "" {
		s += ", default " + f.Default
	}
	return s
}

// wrap breaks text into lines of at most width characters, where it can.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
