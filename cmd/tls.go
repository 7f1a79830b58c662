package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) tlsCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "tls",
		Short: "look at the certificates of the server and renew them, and at TLS with others",
	}, p.tlsListCommand(), p.tlsRenewCommand(), p.tlsaCommand(), p.tlsReportsCommand())
}

func (p *program) tlsListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list the certificates, until when they are valid, and what keeps new ones from coming",
		Long: `list shows each certificate that the tls blocks of the configuration serve or wait for: its names, its
state, who issued it, when it expires, and when the server will renew it by itself. If the last attempt to get or to
read a new one failed, the line below says why, and when it is tried again.

The states are valid, self-signed, expired and pending: there is none yet, and listeners show a self-signed one
meanwhile.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			page, err := p.certificates(c.Context())
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, page)
			}
			return p.showCertificates(page.Certificates, time.Now())
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// certificates asks the server what it serves.
func (p *program) certificates(ctx context.Context) (admin.CertificatePage, error) {
	client, err := p.client()
	if err != nil {
		return admin.CertificatePage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return client.Certificates(ctx)
}

func (p *program) showCertificates(all []appliance.ServedCertificate, now time.Time) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(p.out, "there are no certificates: the configuration has no tls block")
		return err
	}
	t := new(table)
	t.add("NAME", "BLOCK", "STATE", "ISSUER", "EXPIRES", "RENEWAL")
	for i := range all {
		c := &all[i]
		t.add(namesOf(c.Names), c.Block, stateOf(&c.CertificateInfo, now), orNone(c.Issuer, c.Source), when(c.NotAfter, now), when(c.Renewal, now))
		if trouble := troubleOf(&c.CertificateInfo, now); trouble != "" {
			t.add("  " + trouble)
		}
	}
	return t.write(p.out)
}

// renewTime is how long to wait for a renewal: a little longer than the
// server does.
const renewTime = 11 * time.Minute

func (p *program) tlsRenewCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "renew NAME",
		Short: "get a new certificate now",
		Long: `renew has the server get a new certificate before the old one is due, waits for it, and says until when it
is valid. NAME is one of the names that "tls list" shows, or a block, such as tls.letsencrypt, which stands for all
of its certificates.

There is no need for it in daily life: the server renews by itself, in time. It is for a key that somebody else may
have seen, for a certificate that was revoked, and for not waiting until the next try once what was wrong is put
right. Authorities limit how many certificates they issue for a name; if a renewal fails, nothing changes.`,
		Args:              oneName,
		ValidArgsFunction: p.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			if isTerminal(p.err) && !p.json {
				fmt.Fprintln(p.err, "asking for a new certificate; this can take some minutes")
			}
			ctx, cancel := context.WithTimeout(c.Context(), renewTime)
			defer cancel()
			page, err := client.Renew(ctx, args[0])
			if err != nil {
				return err
			}
			return p.showRenewed(page, time.Now())
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) showRenewed(page admin.CertificatePage, now time.Time) error {
	if p.json {
		return writeJSON(p.out, page)
	}
	for i := range page.Certificates {
		c := &page.Certificates[i]
		if _, err := fmt.Fprintln(p.out, printable(c.Block+": "+certificateLine(&c.CertificateInfo, now))); err != nil {
			return err
		}
	}
	return nil
}

// oneName wants a name of a certificate.
func oneName(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s wants one name, and here are %d; \"waxwing tls list\" shows which there are", c.CommandPath(), len(args))
	}
	return nil
}

// completeTime is how long a shell may wait for names.
const completeTime = 2 * time.Second

// completeNames is for the completion of shells: the blocks and the names of
// the certificates, if the server answers.
func (p *program) completeNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := p.certificates(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return knownNames(page.Certificates), cobra.ShellCompDirectiveNoFileComp
}

// knownNames are what a certificate can be asked for by, each once.
func knownNames(all []appliance.ServedCertificate) []string {
	var names []string
	for _, c := range all {
		for _, n := range append([]string{c.Block}, c.Names...) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

func errNoSuchName(name string, all []appliance.ServedCertificate) error {
	if len(all) == 0 {
		return errors.New("there are no certificates: the configuration has no tls block")
	}
	return fmt.Errorf("no certificate is kept for %q; there are %s", name, strings.Join(knownNames(all), ", "))
}
