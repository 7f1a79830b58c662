package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/config"
)

func (p *program) fmtCommand() *cobra.Command {
	var write, check bool
	c := &cobra.Command{
		Use:   "fmt [FILE…]",
		Short: "lay out configuration files in the usual way",
		Long: `fmt prints the configuration file, or those that are named, in the one usual layout; "-" is standard
input. Comments and meaning stay.`,
		RunE: func(_ *cobra.Command, files []string) error {
			if write && check {
				return usagef("--write and --check exclude each other")
			}
			if len(files) == 0 {
				name, err := p.configFile()
				if err != nil {
					return err
				}
				files = []string{name}
			}
			return p.format(files, write, check)
		},
	}
	c.Flags().BoolVarP(&write, "write", "w", false, "write the result to the file")
	c.Flags().BoolVar(&check, "check", false, "list the files that would change, and exit with 1 if there are any")
	return c
}

func (p *program) format(files []string, write, check bool) error {
	var failed error
	for _, name := range files {
		before, after, err := p.formatted(name)
		if err != nil {
			return err
		}
		same := bytes.Equal(before, after)
		switch {
		case check && !same:
			fmt.Fprintln(p.out, name)
			failed = &exitError{status: exitFailed}
		case write && !same:
			err = replace(name, after)
		case !check && !write:
			_, err = p.out.Write(after)
		}
		if err != nil {
			return err
		}
	}
	return failed
}

func (p *program) formatted(name string) (before, after []byte, err error) {
	if name == "-" {
		before, err = io.ReadAll(io.LimitReader(p.in, maxConfig))
	} else {
		before, err = readConfig(name)
	}
	if err != nil {
		return nil, nil, err
	}
	after, ds := config.Format(name, before)
	if ds.HasErrors() {
		return nil, nil, ds
	}
	return before, after, nil
}

// replace writes a file so that it is there whole or not at all, with the
// mode it had. A link stays a link.
func replace(name string, content []byte) (err error) {
	if name == "-" {
		return usagef("--write needs files, not standard input")
	}
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return err
	}
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".waxwing-fmt-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(fi.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
