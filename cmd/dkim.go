package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/modules/signer/dkim"
)

func (p *program) dkimCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "dkim",
		Short: "show DKIM records; list, make, rotate and retire DKIM keys",
	}, p.dkimShowCommand(), p.dkimListCommand(), p.dkimRotateCommand(), p.dkimRetireCommand(), p.dkimGenerateCommand())
}

// recordForm is how records are printed.
type recordForm struct{ web bool }

func (f *recordForm) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.web, "web", false, "print name, type and value one by one, for pasting into a form")
}

func (p *program) dkimShowCommand() *cobra.Command {
	var form recordForm
	c := &cobra.Command{
		Use:   "show",
		Short: "print the DNS records that the server wants published",
		Long: `dkim show asks the running server for the records that it wants published, the public keys of its signers
among them, and prints them as lines of a zone file.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), askTime)
			defer cancel()
			posture, err := client.Posture(ctx)
			if errors.Is(err, admin.ErrUnreachable) {
				return fmt.Errorf("%w. The keys are with the server; it makes those that are missing when it starts", err)
			}
			if err != nil {
				return err
			}
			if len(posture.Records) == 0 && !p.json {
				return errors.New(`the configuration needs no records: it has no signer "dkim"`)
			}
			return p.showRecords(posture.Records, form)
		},
	}
	form.add(c)
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// printedRecord is a record and the strings it is made of.
type printedRecord struct {
	appliance.DNSRecord
	Strings []string `json:"strings"` // of at most 255 octets each
	Zone    string   `json:"zone"`    // a line of a zone file
}

func (p *program) showRecords(records []appliance.DNSRecord, form recordForm) error {
	all := make([]printedRecord, 0, len(records))
	for _, r := range records {
		all = append(all, printedRecord{r, r.Strings(), r.Zone()})
	}
	if p.json {
		return writeJSON(p.out, all)
	}
	for i, r := range all {
		text := r.Zone + "\n"
		if r.Note != "" {
			text = "; " + r.Note + "\n" + text
		}
		if form.web {
			text = fmt.Sprintf("Name:  %s\nType:  %s\nValue: %s\n", r.Name, r.Type, r.Value)
			if i > 0 {
				text = "\n" + text
			}
		}
		if _, err := fmt.Fprint(p.out, text); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) dkimGenerateCommand() *cobra.Command {
	var form recordForm
	var domain, selector, algorithm, out string
	var bits int
	c := &cobra.Command{
		Use:   "generate",
		Short: "make a DKIM key in a file, and print its DNS record",
		Long: `dkim generate makes a private key in a new file that only its owner can read, and prints the record to
publish. The server makes keys by itself when it starts; this is for a key that is published beforehand or kept
elsewhere. Use it with a key block:

  signer "dkim" "example" {
    key "SELECTOR" {
      domain = "DOMAIN"
      file   = "/path/of/the/file"
    }
  }`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("bits") {
				if c.Flags().Changed("algorithm") {
					return usagef("--bits and --algorithm say the same: use one of them")
				}
				algorithm = fmt.Sprintf("rsa%d", bits)
			}
			return p.generate(domain, selector, algorithm, out, form)
		},
	}
	f := c.Flags()
	f.StringVar(&domain, "domain", "", "the `domain` to sign for")
	f.StringVar(&selector, "selector", "", "the `name` of the key in the DNS, such as waxwing or mail")
	f.StringVar(&algorithm, "algorithm", dkim.RSA2048, dkim.RSA2048+", "+dkim.RSA4096+" or "+dkim.Ed25519)
	f.IntVar(&bits, "bits", 2048, "the size of an RSA key: 2048 or 4096")
	f.StringVarP(&out, "out", "o", "", "the `file` to make; default SELECTOR.private")
	form.add(c)
	p.jsonFlag(c)
	return c
}

func (p *program) generate(domain, selector, algorithm, out string, form recordForm) error {
	if domain == "" || selector == "" {
		return usagef("--domain and --selector are needed")
	}
	domain, err := appliance.ParseDomain(domain)
	if err != nil {
		return usagef("--domain: %v", err)
	}
	// X4: the selector becomes the name of a file and of a record.
	if name, err := appliance.ParseDomain(selector); err != nil || name != selector {
		return usagef("--selector %q is no name for the DNS: use small letters, digits and hyphens", selector)
	}
	key, err := dkim.Generate(algorithm)
	if err != nil {
		return usagef("%v", err)
	}
	if out == "" {
		out = selector + ".private"
	}
	if err := createPrivate(out, key.PEM()); err != nil {
		return err
	}
	fmt.Fprintln(p.err, "wrote the private key to "+out+"; this is the record to publish:")
	return p.showRecords([]appliance.DNSRecord{key.Record(domain, selector)}, form)
}

// createPrivate makes a new file for the owner alone. One that is there is
// never replaced: it may be the key that signs.
func createPrivate(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another file with --out", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half a key would be in the way
	}
	return nil
}
