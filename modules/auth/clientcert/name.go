package clientcert

import (
	"crypto/x509"
	"encoding/asn1"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/passwd"
)

// The fields that can be the user.
const (
	commonName = "common_name"
	email      = "email"
	dnsName    = "dns_name"
)

// nameIn is the user that a certificate names. One that names several is
// nobody's: which of them counts would be a matter of luck.
func nameIn(c *x509.Certificate, field string) (name string, err error) {
	if field == "" {
		field = commonName
	}
	all := values(c, field)
	if len(all) != 1 {
		return "", refusal("has %d values of %s, not one", len(all), field)
	}
	switch name = all[0]; field {
	case email:
		var m appliance.Mailbox
		m, err = appliance.ParseMailbox(name)
		name = m.String()
	case dnsName: // a wildcard is no domain
		name, err = appliance.ParseDomain(name)
	}
	if err == nil {
		err = passwd.CheckName(name)
	}
	if err != nil {
		return "", refusal("%s cannot be a user: %v", field, err)
	}
	return name, nil
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

func values(c *x509.Certificate, field string) (all []string) {
	switch field {
	case email:
		return c.EmailAddresses
	case dnsName:
		return c.DNSNames
	}
	for _, a := range c.Subject.Names { // Subject.CommonName is the last of several
		if s, ok := a.Value.(string); ok && a.Type.Equal(oidCommonName) {
			all = append(all, s)
		}
	}
	return all
}
