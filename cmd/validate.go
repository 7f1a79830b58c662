package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

func (p *program) validateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate",
		Short: "say everything that is wrong with the configuration",
		Long: `validate loads the configuration and takes every module as far as possible without running it: keys,
certificates and tables are read, nothing listens and nothing is written. It works beside a running server.

It exits with 0 if the server would start with this file, warnings or not, and with 3 if not.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			name, err := p.configFile()
			if err != nil {
				return err
			}
			src, err := readConfig(name)
			if err != nil {
				return err
			}
			return p.showValidity(name, p.diagnose(name, src))
		},
	}
	p.jsonFlag(c)
	return c
}

// diagnose is everything there is to say about a configuration.
func (p *program) diagnose(name string, src []byte) config.Diagnostics {
	file, err := config.Load(name, src, p.configOptions(), nil)
	if err != nil {
		return diagnosticsOf(err)
	}
	ds := file.Warnings
	if err := appliance.New(file.Graph, appliance.Options{}).Check(); err != nil {
		ds = append(file.Diagnose(err), ds...)
	}
	return ds
}

// validity is the answer of "waxwing validate --json".
type validity struct {
	File        string             `json:"file"`
	Valid       bool               `json:"valid"`
	Diagnostics config.Diagnostics `json:"diagnostics"`
}

func (p *program) showValidity(name string, ds config.Diagnostics) error {
	v := validity{name, !ds.HasErrors(), ds}
	if v.Diagnostics == nil {
		v.Diagnostics = config.Diagnostics{}
	}
	if p.json {
		if err := writeJSON(p.out, v); err != nil {
			return err
		}
	} else if len(ds) > 0 {
		if err := ds.Write(p.err, inColour(p.err)); err != nil {
			return err
		}
	}
	if !v.Valid {
		return &exitError{status: exitConfig}
	}
	if p.json {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "%s is valid\n", name)
	return err
}
