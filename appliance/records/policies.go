package records

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	"github.com/waxwing-mail/waxwing/appliance/tlsrpt"
)

// dmarc is the record of a domain, and the consent of the domain that gets its
// reports.
func (f *Facts) dmarc(domain string) []Record {
	if slices.ContainsFunc(f.Domains, func(d string) bool { return strings.HasSuffix(domain, "."+d) }) {
		return nil // the policy of the domain above is its too (RFC 9989, section 4.10)
	}
	value := "v=DMARC1; p=none"
	if !f.Reports.IsNull() {
		value += "; rua=mailto:" + f.Reports.String()
	}
	all := []Record{{
		DNSRecord: appliance.DNSRecord{Name: "_dmarc." + domain, Type: "TXT", Value: value},
		Kind:      KindDMARC, Domain: domain, Needed: true,
		Why:  "says what receivers are to do with mail that pretends to come from the domain; the large ones want it of everybody who sends much",
		Next: roadToReject(f.Reports),
	}}
	if to := f.Reports.Domain; to != "" && !related(to, domain) {
		all = append(all, Record{
			// RFC 9990, section 4: reports to another domain are sent if it agrees.
			DNSRecord: appliance.DNSRecord{Name: domain + "._report._dmarc." + to, Type: "TXT", Value: "v=DMARC1;"},
			Kind:      KindConsent, Domain: domain,
			Why: "receivers send the reports about the domain to " + to + " only if that says it wants them",
		})
	}
	return all
}

func roadToReject(reports appliance.Mailbox) string {
	const road = `When the reports of some weeks show that all of your own mail passes, write p=quarantine, and some weeks later p=reject, which is what protects the domain.`
	if reports.IsNull() {
		return `Nobody gets reports yet: name a mailbox for them, deliverability { reports = "postmaster@example.com" }. ` + road
	}
	return road
}

// related says that one domain is the other or is below it: they have one
// organization, whose reports need no consent.
func related(a, b string) bool {
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

// inbound are the records of a domain whose mail this server takes.
func (f *Facts) inbound(domain string) (all []Record) {
	if !f.Reports.IsNull() {
		all = append(all, Record{
			DNSRecord: appliance.DNSRecord{Name: tlsrpt.RecordName(domain), Type: "TXT", Value: "v=TLSRPTv1; rua=mailto:" + f.Reports.String()},
			Kind:      KindTLSRPT, Domain: domain,
			Why: "other servers report how TLS with this one went",
		})
	}
	policy := "version: STSv1\nmode: testing\nmx: " + f.Exchanger + "\nmax_age: 604800\n"
	hash := sha256.Sum256([]byte(policy))
	return append(all, Record{
		DNSRecord: appliance.DNSRecord{Name: mtasts.RecordName(domain), Type: "TXT", Value: "v=STSv1; id=" + hex.EncodeToString(hash[:8])},
		Kind:      KindMTASTS, Domain: domain,
		Why: "tells servers that send to this one to insist on TLS with a valid certificate",
		By:  "you, once a web server has the policy",
		Next: fmt.Sprintf(`First serve the policy at https://mta-sts.%s/.well-known/mta-sts.txt. It has four lines: "version: STSv1", "mode: testing", "mx: %s" and "max_age: 604800". When the reports show no trouble, write "mode: enforce" there, and another id here.`,
			domain, f.Exchanger),
	})
}

// judgePolicy is about records of which there may be only one, and any that can
// be read will do: what it says is its owner's decision.
func judgePolicy(r *Record, texts []string) verdict {
	v := verdict{state: Equal, there: filtered(texts, func(t string) bool { return strings.HasPrefix(t, version(r.Value)) })}
	var err error
	switch r.Kind {
	case KindTLSRPT:
		_, err = tlsrpt.ParseRecords(texts)
	case KindMTASTS:
		_, err = mtasts.ParseRecords(texts)
	}
	switch {
	case len(v.there) == 0:
		return missing(r)
	case len(v.there) > 1:
		err = fmt.Errorf("there are %d such records at %s, so that none of them counts: leave one", len(v.there), r.Name)
	}
	if err != nil {
		v.state, v.byHand, v.text = Other, true, sentence(err.Error())
	}
	return v
}

// version is what a record begins with: "v=TLSRPTv1".
func version(record string) string {
	v, _, _ := strings.Cut(record, ";")
	return v
}
