package cmd

import (
	"io"
	"mime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
)

func (p *program) captureCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "capture",
		Short: "look at captured messages",
		Long: `capture shows what a relay "capture" keeps instead of sending it; with mode = "capture", every relay of
the file is one.`,
	}, p.captureListCommand(), p.captureShowCommand())
}

func (p *program) captureListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list captured messages, newest first",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			page, err := client.Captured(c.Context())
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, page)
			}
			t := new(table)
			t.add("ID", "TIME", "FROM", "TO", "SUBJECT")
			for _, m := range page.Messages {
				t.add(m.ID, clock(m.Time), m.From.Path(), paths(m.To), decoded(m.Subject))
			}
			return t.write(p.out)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) captureShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "print a captured message as it would have gone out",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			body, err := client.OpenCaptured(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(p.out, body)
			return err
		},
	}
	p.adminFlags(c)
	return c
}

// decoded is a field value with its encoded words decoded (RFC 2047), as far
// as that goes.
func decoded(value string) string {
	if text, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
		return text
	}
	return value
}

func paths(all []appliance.Mailbox) string {
	var text []string
	for _, m := range all {
		text = append(text, m.Path())
	}
	return strings.Join(text, " ")
}
