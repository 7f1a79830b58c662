package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/records"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
)

// The forms in which records are printed.
var recordFormats = []string{"zone", "table", "json"}

func (p *program) dnsCommand() *cobra.Command {
	format := recordFormats[0]
	c := &cobra.Command{
		Use:   "dns [DOMAIN…]",
		Short: "print the DNS records that the configuration needs; check and publish them",
		Long: `dns prints every DNS record that this configuration needs, of all domains and hosts or of those that are
named: the addresses of the names that receivers are told, and the names of the addresses; for each domain that mail
is sent from MX, SPF, DKIM and DMARC; and for one whose mail this server takes TLSRPT, MTA-STS and TLSA. The SPF
records follow from the relays that the pipelines use.

--format zone prints lines of a zone file, in which what somebody else has to write is a comment. --format table says
what to type into which field of a form, and --format json is for programs.

The running server is asked, since keys and certificates are with it. If none runs, the file says what it can, and
what is missing is named.`,
		Example: "  waxwing dns\n  waxwing dns --format table example.com\n  waxwing dns check\n  waxwing dns publish --dry-run",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if p.json {
				format = "json"
			}
			if !slices.Contains(recordFormats, format) {
				return usagef("--format is zone, table or json, and not %q", format)
			}
			return p.listRecords(c.Context(), args, format)
		},
	}
	c.Flags().StringVar(&format, "format", format, "`form` of the output: zone, table or json")
	p.adminFlags(c)
	p.jsonFlag(c)
	c.AddCommand(p.dnsCheckCommand(), p.dnsPublishCommand())
	return c
}

func (p *program) listRecords(ctx context.Context, names []string, format string) error {
	var list records.List
	err := p.desk(ctx, func(ctx context.Context, client *admin.Client) (err error) {
		list, err = client.Records(ctx, names)
		return err
	}, func(_ context.Context, d *records.Desk) (err error) {
		list, err = d.Wanted(names)
		return err
	})
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return writeJSON(p.out, printedOf(list))
	case "table":
		err = writeRecordTable(p.out, list.Records)
	default:
		err = writeRecordZone(p.out, list.Records)
	}
	p.tellMissing(list.Missing)
	if err == nil && len(list.Records) == 0 {
		return errors.New("there are no records to publish")
	}
	return err
}

// tellMissing says what could not be known.
func (p *program) tellMissing(missing []string) {
	for _, text := range missing {
		fmt.Fprintln(p.err, strings.Join(wrap(printable("note: "+text), p.lineWidth()), "\n      "))
	}
}

// lineWidth is that of running text.
func (p *program) lineWidth() int {
	if w := p.width(); w > 0 {
		return min(w, 120) - 6 // what a line that goes on is indented by
	}
	return 120
}

// desk asks the running server; or, if nobody is there where the configuration
// says it would be, the configuration itself.
func (p *program) desk(ctx context.Context, ask func(context.Context, *admin.Client) error, work func(context.Context, *records.Desk) error) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	err = ask(ctx, client)
	if !errors.Is(err, admin.ErrUnreachable) || p.adminFlag != "" || os.Getenv(envAdmin) != "" {
		return err
	}
	file, loadErr := p.loaded()
	if loadErr != nil {
		return loadErr
	}
	house := appliance.New(file.Graph, appliance.Options{NewResolver: resolver.New, Resolver: p.resolver})
	var workErr error
	err = house.Inspect(func() {
		workErr = work(ctx, &records.Desk{
			Graph: file.Graph, Resolver: house.Resolver(), Options: records.Options{Machine: records.MachineAddresses()},
		})
	})
	if err != nil {
		return file.Diagnose(err)
	}
	return workErr
}
