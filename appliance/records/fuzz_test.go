package records

import (
	"context"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// FuzzJudge: whatever stands in the DNS, which belongs to strangers, has a
// verdict; what is not well has words; and what is to be published instead is
// well.
func FuzzJudge(f *testing.F) {
	for _, text := range []string{
		"", "v=spf1 -all", "v=spf1 ip4:203.0.113.7 +all", "v=spf1 mx ?ALL redirect=x", "V=SPF1  ip4:203.0.113.0/24\nv=spf1", "v=spf1 ip6:2001:db8::/129 include:",
		testKey, "v=DKIM1; p=", "p=;k=;", "v=DMARC1; p=reject", "v=DMARC1", "v=TLSRPTv1;rua=", "v=STSv1", "other\x00\n\xff",
	} {
		f.Add(text)
	}
	facts := sending()
	facts.Receives = []string{"example.com"}
	wanted := Wanted(facts)
	f.Fuzz(func(t *testing.T, text string) {
		var a appliance.DNSAnswer
		if text != "" {
			a.Texts = strings.Split(text, "\n")
		}
		for i := range wanted {
			r := &wanted[i]
			v := judge(context.Background(), zones{}, r, a)
			if v.state != Equal && v.text == "" {
				t.Errorf("%s: %s without a word", r.Title(), v.state)
			}
			if again := judge(context.Background(), zones{}, r, appliance.DNSAnswer{Texts: []string{v.want}}); v.want != "" && !v.byHand && again.state != Equal {
				t.Errorf("%s: %q instead is %s: %s", r.Title(), v.want, again.state, again.text)
			}
		}
	})
}
