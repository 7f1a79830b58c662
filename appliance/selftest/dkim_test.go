package selftest

import (
	"errors"
	"testing"

	msgdkim "github.com/emersion/go-msgauth/dkim"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestCaseOfAgent: of i= and d= in different letters the library says that they
// are different domains. What a receiver says is not known then; of domains
// that are different it is.
func TestCaseOfAgent(t *testing.T) {
	for agent, want := range map[string]appliance.Standing{
		"@Example.COM": appliance.FoundSkipped, "app@News.Example.com": appliance.FoundSkipped,
		"@notexample.com": appliance.FoundFail, "@com": appliance.FoundFail, "": appliance.FoundFail,
	} {
		s := readSignature("v=1; a=rsa-sha256; d=example.com; s=w1; i=" + agent + "; h=From : To; b=; bh=")
		new(judge).conclude(s, &msgdkim.Verification{Err: errors.New("dkim: domain mismatch")})
		if s.item.Status != want || s.pass {
			t.Errorf("i=%s: %s, %s", agent, s.item.Status, s.item.Text)
		}
	}
}

// TestReadSignature: what of a signature counts, and what makes it none.
func TestReadSignature(t *testing.T) {
	s := readSignature("v=1; d=Example.COM; s=W1;\r\n h=From:\r\n\tTo:from; i=App@Example.com")
	if s.item.Status != "" || s.name() != "w1._domainkey.example.com" || s.agent != "App@Example.com" || s.names("FROM") != 2 || s.names("to") != 1 {
		t.Errorf("%+v", s)
	}
	for _, value := range []string{"", "d=example.com", "s=w1", "d=a; d=b; s=w1", "no tags"} {
		if s := readSignature(value); s.item.Status != appliance.FoundWarn {
			t.Errorf("%q: %+v", value, s.item)
		}
	}
}
