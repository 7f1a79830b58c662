package cmd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

func (p *program) tlsaCommand() *cobra.Command {
	var form recordForm
	c := &cobra.Command{
		Use:   "tlsa [NAME]",
		Short: "print the DANE records of the certificates, for mail servers that send to port 25",
		Long: `tlsa prints the records by which other mail servers recognize this one (DANE: RFC 7672) as lines of a zone
file, for all names or for NAME, that of the MX record. NAME may also be a block, such as tls.letsencrypt: the one that
the listener on port 25 uses, if another block has certificates for the same names.

They are of use only in a zone that is signed with DNSSEC; in any other they are ignored. That is why the server
does not list them among the records it wants published.

A record holds the hash of a public key. One of a key that a renewal replaces would keep senders from delivering, so
there are records only of certificates whose key stays: those of tls "acme" unless reuse_key = false, and of
tls "self_signed". Publish a new record, and let the old one expire, before a key is changed.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return oneName(c, args)
			}
			return nil
		},
		ValidArgsFunction: p.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			page, err := p.certificates(c.Context())
			if err != nil {
				return err
			}
			all, hosts, err := chosen(page.Certificates, args)
			if err != nil {
				return err
			}
			return p.showTLSA(all, hosts, form)
		},
	}
	form.add(c)
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// showTLSA prints the records of the hosts, and why others have none.
func (p *program) showTLSA(all []appliance.ServedCertificate, hosts []string, form recordForm) error {
	var found []appliance.DNSRecord
	var without []string
	for _, host := range hosts {
		ofHost, why := records.TLSA(all, host)
		if why != "" {
			without = append(without, fmt.Sprintf("no record for %s: %s", host, why))
		}
		found = append(found, ofHost...)
	}
	if len(found) > 0 {
		without = append(without, "These records help only in a zone that is signed with DNSSEC.")
	}
	if len(found) > 0 || p.json {
		if err := p.showRecords(found, form); err != nil {
			return err
		}
	}
	for _, line := range without {
		fmt.Fprintln(p.err, printable(line))
	}
	if len(found) == 0 && !p.json {
		return errors.New("there are no records to publish")
	}
	return nil
}

// chosen returns the certificates to look at and the hosts to print records
// of: all, those of the block that args name, or the host that they name.
func chosen(all []appliance.ServedCertificate, args []string) (_ []appliance.ServedCertificate, hosts []string, err error) {
	if len(args) == 0 {
		return all, hostsOf(all), nil
	}
	ofBlock := slices.DeleteFunc(slices.Clone(all), func(c appliance.ServedCertificate) bool { return c.Block != args[0] })
	if len(ofBlock) > 0 {
		return ofBlock, hostsOf(ofBlock), nil
	}
	host := strings.TrimSuffix(args[0], ".")
	if d, err := appliance.ParseDomain(host); err == nil {
		host = d
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, nil, fmt.Errorf("%s is an address, and records belong to a name: use the one that the MX record has", host)
	}
	if !slices.ContainsFunc(all, func(c appliance.ServedCertificate) bool { return records.ValidFor(c, host) }) {
		return nil, nil, errNoSuchName(args[0], all)
	}
	return all, []string{host}, nil
}

// hostsOf returns the host names of certificates, each once.
func hostsOf(all []appliance.ServedCertificate) []string {
	var hosts []string
	for _, c := range all {
		for _, n := range c.Names {
			if _, err := netip.ParseAddr(n); err != nil && !slices.Contains(hosts, n) {
				hosts = append(hosts, n)
			}
		}
	}
	return hosts
}
