package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/waxwing-mail/waxwing/appliance/password"
)

func (p *program) hashPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "hash a password for password_hash",
		Long: `hash-password asks for a password, without showing it, or reads the first line of its standard input,
and prints its argon2id hash:

  auth "static" "apps" {
    user "app" { password_hash = "$argon2id$…" }
  }`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			secret, err := p.readPassword()
			if err != nil {
				return err
			}
			if secret == "" {
				return errors.New("the password is empty")
			}
			hash, err := password.Hash(secret)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.out, hash)
			return err
		},
	}
}

// readPassword asks twice on a terminal, and reads one line otherwise.
func (p *program) readPassword() (string, error) {
	if !isTerminal(p.in) {
		line, err := bufio.NewReader(io.LimitReader(p.in, 2*password.MaxLength)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := p.ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := p.ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two are not the same")
	}
	return first, nil
}

func (p *program) ask(prompt string) (string, error) {
	fmt.Fprint(p.err, prompt)
	b, err := term.ReadPassword(int(p.in.(*os.File).Fd()))
	fmt.Fprintln(p.err)
	return string(b), err
}
