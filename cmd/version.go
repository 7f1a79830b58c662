package cmd

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// version is set by the linker for a release:
// -ldflags "-X github.com/waxwing-mail/waxwing/cmd.version=v1.2.0".
var version string

// buildVersion says what this program was built from.
func buildVersion() admin.Version {
	v := admin.Version{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "-tags":
			v.Tags = strings.Split(s.Value, ",")
		}
	}
	return v
}

// runningVersion is buildVersion of a process that serves.
func runningVersion() admin.Version {
	v := buildVersion()
	v.PID, v.Started = os.Getpid(), time.Now().Truncate(time.Second)
	return v
}

func (p *program) versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "print the version of this program",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if p.json {
				return writeJSON(p.out, v)
			}
			words := append([]string{"waxwing", v.Version, v.Go}, v.Tags...)
			_, err := fmt.Fprintln(p.out, strings.Join(words, " "))
			return err
		},
	}
	p.jsonFlag(c)
	return c
}
