package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// The environment variables of the command line.
const (
	envConfig     = "WAXWING_CONFIG"
	envDataDir    = "WAXWING_DATA_DIR"
	envAdmin      = "WAXWING_ADMIN"
	envAdminToken = "WAXWING_ADMIN_TOKEN"
)

// configFiles are tried in turn when no file is named.
var configFiles = []string{"mail.hcl", "/etc/waxwing/mail.hcl"}

// configFile is the file that the command works with.
func (p *program) configFile() (string, error) {
	if p.configFlag != "" {
		return p.configFlag, nil
	}
	if name := os.Getenv(envConfig); name != "" {
		return name, nil
	}
	for _, name := range configFiles {
		if _, err := os.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
	}
	return "", &exitError{exitConfig, fmt.Errorf("there is no configuration file: looked for %s. "+
		"Name one with --config or $%s, or start from mail.hcl.example", strings.Join(configFiles, " and "), envConfig)}
}

// maxConfig is the largest file that is read, in octets; config refuses a
// smaller one with a better message.
const maxConfig = 2 << 20

// readConfig reads the file that configFile names.
func readConfig(name string) ([]byte, error) {
	fi, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{exitConfig, fmt.Errorf("there is no configuration file %s: create it, or name another with --config or $%s", name, envConfig)}
	case err != nil:
		return nil, &exitError{exitConfig, err}
	case fi.IsDir():
		return nil, &exitError{exitConfig, fmt.Errorf("%s is a directory; Docker makes one when the file that is to be mounted there is missing", name)}
	case !fi.Mode().IsRegular():
		return nil, &exitError{exitConfig, fmt.Errorf("%s is no regular file", name)}
	case fi.Size() > maxConfig:
		return nil, &exitError{exitConfig, fmt.Errorf("%s has %s: a configuration is never that large", name, appliance.Size(fi.Size()))}
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Errorf("%w: let user %d, as which waxwing runs, read it", err, os.Geteuid())}
	}
	return src, nil
}

// configOptions is what the configuration language needs of the machine.
func (p *program) configOptions() config.Options {
	return config.Options{Registry: p.registry, DataDir: defaultDataDir()}
}

// defaultDataDir is where everything to keep lies unless the file says more.
func defaultDataDir() string {
	if dir := os.Getenv(envDataDir); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/waxwing"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "waxwing")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "waxwing")
	}
	return "/var/lib/waxwing"
}

// adminFlags adds what a command that asks the server needs.
func (p *program) adminFlags(c *cobra.Command) {
	c.Flags().StringVar(&p.adminFlag, "admin", "", "where the server is reached: unix:`PATH`, or HOST:PORT with $"+envAdminToken)
}

func (p *program) jsonFlag(c *cobra.Command) {
	c.Flags().BoolVar(&p.json, "json", false, "write JSON")
}

// client finds the running server.
func (p *program) client() (*admin.Client, error) {
	address, token := p.adminFlag, appliance.NewSecret(os.Getenv(envAdminToken))
	if address == "" {
		address = os.Getenv(envAdmin)
	}
	if address != "" {
		return admin.NewClient(address, token), nil
	}
	s, err := p.settings()
	if err != nil {
		return nil, err
	}
	if s.Admin.Token.Reveal() != "" {
		token = s.Admin.Token
	}
	return admin.NewClient(admin.Address(s), token), nil
}

// settings reads the settings of the configuration file by which the server is
// found, whatever is wrong with the others. If there is no file,
// they are the defaults: a server that was started with --config elsewhere is
// found by its data directory.
func (p *program) settings() (appliance.Settings, error) {
	name, err := p.configFile()
	if err != nil {
		s := appliance.DefaultSettings()
		s.DataDir = defaultDataDir()
		return s, nil //nolint:nilerr // as the comment says
	}
	src, err := readConfig(name)
	if err != nil {
		return appliance.Settings{}, err
	}
	set, wrong, err := config.LoadSettings(name, src, p.configOptions())
	if wrong.HasErrors() {
		fmt.Fprintf(p.err, "note: %s does not load here: \"waxwing validate\" says why\n", name)
	}
	return set, err
}
