package cmd

import (
	"bufio"
	"context"
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
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			secret, err := p.readPassword(c.Context())
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
func (p *program) readPassword(ctx context.Context) (string, error) {
	if !isTerminal(p.in) {
		line, err := bufio.NewReader(io.LimitReader(p.in, 2*password.MaxLength)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := p.ask(ctx, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := p.ask(ctx, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two are not the same")
	}
	return first, nil
}

// ask reads a line that the terminal does not show. If ctx ends first, the
// terminal is as it was; whoever still reads from it ends with the process.
func (p *program) ask(ctx context.Context, prompt string) (string, error) {
	fd := int(p.in.(*os.File).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.err, prompt)
	defer fmt.Fprintln(p.err)
	type answer struct {
		text []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		return string(a.text), a.err
	case <-ctx.Done():
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, before))
	}
}
