package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
)

func (p *program) modulesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:       "modules [KIND]",
		Short:     "list the module types that a configuration can use",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), p.knownKind),
		ValidArgs: kinds(),
		RunE: func(_ *cobra.Command, args []string) error {
			all := p.registry.All()
			if len(args) == 1 {
				all = p.registry.Of(appliance.Kind(args[0]))
			}
			return p.listModules(all)
		},
	}
	p.jsonFlag(c)
	return c
}

func kinds() []string {
	var all []string
	for _, k := range appliance.Kinds() {
		all = append(all, string(k))
	}
	return all
}

func (p *program) knownKind(_ *cobra.Command, args []string) error {
	if len(args) == 1 && !slices.Contains(kinds(), args[0]) {
		return fmt.Errorf("there is no kind %q; the kinds are %s", args[0], strings.Join(kinds(), ", "))
	}
	return nil
}

func (p *program) listModules(all []appliance.Registration) error {
	type module struct {
		Kind    appliance.Kind `json:"kind"`
		Type    string         `json:"type"`
		Summary string         `json:"summary"`
	}
	list := make([]module, 0, len(all))
	t := new(table)
	t.add("KIND", "TYPE", "SUMMARY")
	for _, r := range all {
		list = append(list, module{r.Kind, r.Name, r.Summary})
		t.add(string(r.Kind), r.Name, r.Summary)
	}
	if p.json {
		return writeJSON(p.out, list)
	}
	return t.write(p.out)
}
