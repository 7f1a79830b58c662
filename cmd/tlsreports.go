package cmd

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) tlsReportsCommand() *cobra.Command {
	var domain string
	var limit int
	c := &cobra.Command{
		Use:   "reports",
		Short: "list what was counted for the daily reports of TLS to other domains",
		Long: `tls reports shows what relays with a tls_reports block have counted today (UTC), and on the days before that are not
reported yet: for each domain that mail went to, in how many sessions TLS was what it should be, in how many it was
not and why, by the names of RFC 8460, section 4.3; and where the report goes, and from when on, or why there is
none. Failures come first: they are worth a look whether or not the domain wants to know.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return ask(c.Context(), p, func(client *admin.Client, ctx context.Context) (admin.TLSReportPage, error) {
				return client.TLSReports(ctx, domain, limit)
			}, func(page admin.TLSReportPage) error { return p.showTLSReports(page, domain, time.Now()) })
		},
	}
	c.Flags().StringVar(&domain, "domain", "", "that of one `domain`")
	c.Flags().IntVar(&limit, "limit", 0, "of each relay, at most so many; default 50, at most 1000")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) showTLSReports(page admin.TLSReportPage, domain string, now time.Time) error {
	if len(page.Reports) == 0 {
		_, err := fmt.Fprintln(p.out, nothingCounted(page, domain))
		return err
	}
	several := len(page.Relays) > 1
	t := new(table)
	head := []string{"DAY", "DOMAIN", "GOOD", "FAILED", "REPORT"}
	if several {
		head = append([]string{"RELAY"}, head...)
	}
	t.add(head...)
	for i := range page.Reports {
		r := &page.Reports[i]
		row := []string{r.Day, r.Domain, fmt.Sprint(r.Successful), fmt.Sprint(r.Failed), reportWords(r, now)}
		if several {
			row = append([]string{r.Relay}, row...)
		}
		t.add(row...)
		if failures := failureWords(r.Failures); failures != "" {
			t.add("  " + failures)
		}
	}
	if err := t.write(p.out); err != nil || !page.More {
		return err
	}
	_, err := fmt.Fprintln(p.out, "there are more: --limit shows them, --domain those of one domain")
	return err
}

// nothingCounted says why the list is empty.
func nothingCounted(page admin.TLSReportPage, domain string) string {
	switch {
	case len(page.Relays) == 0:
		return "nothing is counted: no relay has a tls_reports block"
	case domain != "":
		return "nothing has been counted for " + domain
	}
	return "nothing has been counted yet"
}

// reportWords says what becomes of a report.
func reportWords(r *appliance.TLSReport, now time.Time) string {
	to := strings.Join(r.To, ", or ")
	switch {
	case r.State == appliance.TLSReportDone:
		return "done with"
	case to == "":
		return "none: " + cmp.Or(r.Why, "nobody is named")
	case now.Before(r.Due):
		return "to " + to + ", " + when(r.Due, now)
	}
	return "to " + to + ", tried again until " + clock(r.GivenUp)
}

func failureWords(all []appliance.TLSReportFailure) string {
	words := make([]string, len(all))
	for i, f := range all {
		words[i] = fmt.Sprintf("%s: %d", f.Type, f.Sessions)
	}
	return strings.Join(words, ", ")
}
