package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// A publishJob is what to publish, and how.
type publishJob struct {
	names    []string
	through  string
	yes, dry bool
	wait     time.Duration
}

func (p *program) dnsPublishCommand() *cobra.Command {
	var j publishJob
	c := &cobra.Command{
		Use:   "publish [DOMAIN…]",
		Short: "write the records that are missing, through a dns block",
		Long: `dns publish shows what it would write, asks, writes it through a dns block, and looks at the name servers
until they show it.

  +  is added, because nothing of it is there
  ~  replaces what is there: the one SPF record that lacks something, the one DMARC record that cannot be read
  !  is left alone, and the line says why and who has to do what

It deletes nothing else, and no other TXT record is touched. Without a terminal to ask on it needs --yes. It exits
with 1 if something could not be written, is not shown by all name servers in time, or could not be looked up.`,
		RunE: func(c *cobra.Command, args []string) error {
			j.names = args
			return p.publish(c.Context(), j)
		},
	}
	f := c.Flags()
	f.StringVar(&j.through, "through", "", "the dns `block`, as dns.zone; default publish of the deliverability block, or the only one")
	f.BoolVarP(&j.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&j.dry, "dry-run", false, "only show what would be done")
	f.DurationVar(&j.wait, "wait", time.Minute, "how long to wait until the name servers show it; 0 does not wait")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) publish(ctx context.Context, j publishJob) error {
	plan, err := p.askPublish(ctx, j, admin.PublishRequest{DryRun: true})
	if err != nil {
		return err
	}
	writes := records.Writes(plan.Changes)
	if !p.json {
		if err := writePlan(p.out, plan, p.lineWidth()); err != nil {
			return err
		}
		p.tellMissing(plan.Missing)
	}
	switch {
	case j.dry || len(writes) == 0:
		if p.json {
			err = writeJSON(p.out, published{Publication: plan})
		}
		if err == nil && !j.dry && anyUnknown(plan) {
			return &exitError{status: exitFailed}
		}
		return err
	case !j.yes:
		if err := p.confirm(fmt.Sprintf("Write %s through %s?", number(len(writes), "record", "records"), plan.Through)); err != nil {
			return err
		}
	}
	done, err := p.askPublish(ctx, j, admin.PublishRequest{Agreed: writes})
	if err != nil {
		return err
	}
	return p.showPublished(ctx, j, done)
}

func (p *program) askPublish(ctx context.Context, j publishJob, want admin.PublishRequest) (done records.Publication, err error) {
	want.Domains, want.Through = j.names, j.through
	err = p.desk(ctx, func(ctx context.Context, client *admin.Client) (err error) {
		done, err = client.PublishRecords(ctx, want)
		return err
	}, func(ctx context.Context, d *records.Desk) (err error) {
		if want.DryRun {
			done, err = d.Plan(ctx, want.Domains, want.Through)
		} else {
			done, err = d.Publish(ctx, want.Domains, want.Through, want.Agreed)
		}
		return err
	})
	return done, err
}

// confirm asks on the terminal.
func (p *program) confirm(question string) error {
	if !isTerminal(p.in) {
		return usagef("there is no terminal to ask on: write --yes, or --dry-run to see the plan only")
	}
	fmt.Fprint(p.err, question+" [y/N] ")
	line, err := bufio.NewReader(p.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was written")
	}
	return nil
}

// planSigns are what stands before a change.
var planSigns = map[records.Action]string{records.ActionAdd: "+", records.ActionReplace: "~", records.ActionLeave: "!"}

// writePlan writes what is done about each record.
func writePlan(w io.Writer, plan records.Publication, width int) error {
	var b strings.Builder
	if len(plan.Changes) == 0 {
		b.WriteString("all records are there; there is nothing to do\n")
	}
	for i := range plan.Changes {
		c := &plan.Changes[i]
		fmt.Fprintf(&b, "%s %s\n", planSigns[c.Action], printable(c.Title))
		if c.Old != "" {
			b.WriteString("    - " + zoneLine(c, c.Old) + "\n")
		}
		if c.New != "" {
			b.WriteString("    + " + zoneLine(c, c.New) + "\n")
		}
		for _, line := range wrap(printable(c.Why), width-4) {
			b.WriteString("    " + line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func zoneLine(c *records.Change, value string) string {
	return printable(appliance.DNSRecord{Name: c.Name, Type: c.Type, Value: value}.Zone())
}

// published is what a program reads of it.
type published struct {
	records.Publication
	Found []records.Difference `json:"found,omitempty"` // how what was written stands afterwards
}

// showPublished says what was written, and what the name servers say of it.
func (p *program) showPublished(ctx context.Context, j publishJob, done records.Publication) error {
	failed := false
	for _, c := range records.Writes(done.Changes) {
		failed = failed || c.Error != ""
		if !p.json {
			fmt.Fprintln(p.out, printable(writtenLine(&c)))
		}
	}
	found, err := p.shown(ctx, j, done)
	if err != nil {
		return fmt.Errorf("whether the name servers show what was written is not known: %w", err)
	}
	if p.json {
		if err := writeJSON(p.out, published{done, found}); err != nil {
			return err
		}
	} else if len(found) > 0 {
		fmt.Fprintln(p.out)
		if err := writeComparison(p.out, found, p.lineWidth()); err != nil {
			return err
		}
	}
	if failed || anyUnknown(done) || slices.ContainsFunc(found, func(d records.Difference) bool { return !d.OK() }) {
		return &exitError{status: exitFailed}
	}
	return nil
}

// anyUnknown says whether there are records that may have to be written, and
// nobody knows.
func anyUnknown(done records.Publication) bool {
	return slices.ContainsFunc(done.Changes, func(c records.Change) bool { return c.Unknown })
}

func writtenLine(c *records.Change) string {
	if c.Error != "" {
		return c.Title + " was not written: " + c.Error
	}
	return c.Title + " was written"
}

// lookAgain is how long to wait between two looks at the name servers.
const lookAgain = 2 * time.Second

// shown looks at the name servers until they show what was written, or until
// the wait is over.
func (p *program) shown(ctx context.Context, j publishJob, done records.Publication) ([]records.Difference, error) {
	deadline := time.Now().Add(j.wait)
	for {
		c, err := p.checkRecords(ctx, j.names)
		if err != nil {
			return nil, err
		}
		found := slices.DeleteFunc(c.Found, func(d records.Difference) bool { return !wrote(done.Changes, &d) })
		if !slices.ContainsFunc(found, func(d records.Difference) bool { return !d.OK() }) || !time.Now().Add(lookAgain).Before(deadline) {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

// wrote says whether a record is among those that were written.
func wrote(plan []records.Change, d *records.Difference) bool {
	return slices.ContainsFunc(plan, func(c records.Change) bool {
		return c.Action != records.ActionLeave && c.Error == "" && c.Title == d.Title() && c.Name == d.Name && c.Type == d.Type
	})
}
