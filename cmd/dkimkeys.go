package cmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) dkimListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list the DKIM keys, their states, and what each waits for",
		Long: `dkim list shows the keys of the running server. The states of a key, in their order, are

  next     it was made to replace another one, and signs when all name servers show its record
  current  it signs
  old      it signs no more; its record must stay for the mail that it has signed
  retired  it is deleted, and its record is to be deleted

Keys that key blocks or key_dir bring are current, for as long as the configuration names them.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return ask(c.Context(), p, (*admin.Client).Keys, func(page admin.KeyPage) error { return p.showKeys(page.Keys) })
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) dkimRotateCommand() *cobra.Command {
	var now bool
	c := &cobra.Command{
		Use:   "rotate [DOMAIN…]",
		Short: "make the next DKIM key, and sign with it when its record is published",
		Long: `dkim rotate makes the next key of each domain, or of all domains whose keys the server has made, and prints the records to
publish. It returns at once. The server goes on signing with the current key, asks the name servers of the domain, and signs
with the next key when all of them have shown its record for an hour. If a key waits already, rotate makes no other: it has
the server look now. The old record must stay until "waxwing dkim list" says that the old key is retired.

With --now the new key signs at once. Until its record is published, receivers cannot verify what it signs, and refuse it or
take it for spam. It is for a private key that somebody else may have; retire the old one then, too.`,
		ValidArgsFunction: p.completeKeys(func(k *appliance.KeptKey, args []string) string {
			if k.Since.IsZero() || slices.Contains(args, k.Domain) {
				return ""
			}
			return k.Domain
		}),
		RunE: func(c *cobra.Command, args []string) error {
			if now {
				fmt.Fprintln(p.err, "warning: the new keys sign at once; mail fails DKIM at its receivers until the records are published")
			}
			return ask(c.Context(), p, func(client *admin.Client, ctx context.Context) (admin.KeyPage, error) {
				return client.RotateKeys(ctx, admin.RotateRequest{Domains: args, Now: now})
			}, func(page admin.KeyPage) error { return p.showRotated(page.Keys, now) })
		},
	}
	c.Flags().BoolVar(&now, "now", false, "sign with the new keys at once, before anybody can verify that")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) dkimRetireCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "retire DOMAIN SELECTOR",
		Short: "give up a DKIM key that does not sign, without waiting",
		Long: `dkim retire deletes an old key at once, or one that waits to sign, and says what becomes of its record. The server retires
old keys by itself; this is for one that somebody else may have, and for a rotation that is not wanted any more. What
an old key has signed and is on its way still, is not verified when its record is gone.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("dkim retire wants a domain and a selector; \"waxwing dkim list\" shows both")
			}
			return nil
		},
		ValidArgsFunction: p.completeKeys(func(k *appliance.KeptKey, args []string) string {
			switch {
			case k.State != appliance.KeyOld && k.State != appliance.KeyNext:
				return ""
			case len(args) == 0:
				return k.Domain
			case len(args) == 1 && args[0] == k.Domain:
				return k.Selector
			}
			return ""
		}),
		RunE: func(c *cobra.Command, args []string) error {
			return ask(c.Context(), p, func(client *admin.Client, ctx context.Context) (admin.KeyPage, error) {
				return client.RetireKey(ctx, admin.RetireRequest{Domain: args[0], Selector: args[1]})
			}, p.showRetired)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// completeKeys is for the completion of shells: a word for each key, if the
// server answers; "" is none.
func (p *program) completeKeys(word func(k *appliance.KeptKey, args []string) string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completeTime)
		defer cancel()
		client, err := p.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		page, err := client.Keys(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []string
		for i := range page.Keys {
			if w := word(&page.Keys[i], args); w != "" && !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

func (p *program) showKeys(keys []appliance.KeptKey) error {
	if len(keys) == 0 {
		_, err := fmt.Fprintln(p.out, `there are no keys: the configuration has no signer "dkim"`)
		return err
	}
	t := new(table)
	t.add("DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "SINCE")
	now := time.Now()
	for i := range keys {
		k := &keys[i]
		since := when(k.Since, now)
		if k.Since.IsZero() {
			since = "in " + k.Source
		}
		t.add(k.Domain, k.Selector, k.Algorithm, string(k.State), since)
		if k.Waits != "" {
			t.add("  waits for " + k.Waits)
		}
	}
	return t.write(p.out)
}

// showRotated shows the keys, and what is to be published.
func (p *program) showRotated(keys []appliance.KeptKey, now bool) error {
	if err := p.showKeys(keys); err != nil {
		return err
	}
	state := appliance.KeyNext
	if now {
		state = appliance.KeyCurrent
	}
	var records []appliance.DNSRecord
	for i := range keys {
		k := &keys[i]
		if k.State == state && k.Publisher == "" && !k.Since.IsZero() {
			records = append(records, k.Record)
		}
	}
	if len(records) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(p.out, "\nto publish; \"waxwing dkim show\" prints it again:\n"); err != nil {
		return err
	}
	return p.showRecords(records, recordForm{})
}

func (p *program) showRetired(page admin.KeyPage) error {
	if len(page.Keys) == 0 {
		_, err := fmt.Fprintln(p.out, "the key is deleted, and no name server shows its record")
		return err
	}
	for i := range page.Keys {
		k := &page.Keys[i]
		text := "the key is deleted; delete its record from the DNS: " + k.Record.Name
		if k.Publisher != "" {
			text = "the key is deleted; it waits for " + k.Waits
		}
		if _, err := fmt.Fprintln(p.out, printable(text)); err != nil {
			return err
		}
	}
	return nil
}
