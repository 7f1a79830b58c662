package config

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

func compileText(text string) (appliance.Condition, Diagnostics) {
	c := &collector{src: newSource("mail.hcl", []byte(text))}
	expr, diags := hclsyntax.ParseExpression([]byte(text), "mail.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		panic(diags)
	}
	cond, _ := compile(c, "", expr)
	return cond, c.diagnostics()
}

func mustCompile(tb testing.TB, text string) appliance.Condition {
	tb.Helper()
	cond, ds := compileText(text)
	if len(ds) > 0 {
		tb.Fatal(ds)
	}
	return cond
}

func fakeFacts(tb testing.TB) *appliance.Facts {
	tb.Helper()
	h, err := appliance.ParseHeader([]byte("List-Id: <news.example.com>\r\nX-Bad: a\xffb\r\n"))
	if err != nil {
		tb.Fatal(err)
	}
	return &appliance.Facts{
		Sender:    appliance.Mailbox{Local: "Bulk", Domain: "news.example.com"},
		Recipient: appliance.Mailbox{Local: "user", Domain: "corp.example"},
		Client:    "10.1.2.3", User: "app", Size: 1000, Header: &h, Attempt: 2,
	}
}

func TestCondition(t *testing.T) {
	for _, c := range []struct {
		text         string
		want         bool
		needsContent bool
	}{
		{`recipient.domain == "corp.example"`, true, false},
		{`sender.domain == "news.example.com" || header("List-Id") != ""`, true, true},
		{`header("list-id") == "<news.example.com>"`, true, true},
		{`header("X-Bad") == "a�b"`, true, true},
		{`header("X-None") == ""`, true, true},
		{`endswith(recipient.domain, ".invalid")`, false, false},
		{`startswith(sender.local, "Bu")`, true, false},
		{`lower(sender.local) == "bulk" && upper(user) == "APP"`, true, false},
		{`sender.address == "Bulk@news.example.com"`, true, false},
		{`contains(["a.example", "corp.example"], recipient.domain)`, true, false},
		{`contains(["a.example", sender.domain], recipient.domain)`, false, false},
		{`contains(user, "pp")`, true, false},
		{`contains([], user)`, false, false},
		{`cidrcontains("10.0.0.0/8", client.ip)`, true, false},
		{`cidrcontains("10.1.2.3", client.ip)`, true, false},
		{`cidrcontains("192.168.0.0/16", client.ip)`, false, false},
		{`matches(recipient.local, "^us(e)r$")`, true, false},
		{`message.size > 999 && attempt == 2`, true, true},
		{`message.size > 10 * 1024`, false, true},
		{`!(user == "app")`, false, false},
		{`user == "x" ? false : true`, true, false},
		{`"${user}@corp.example" == "app@${recipient.domain}"`, true, false},
		{`true`, true, false},
	} {
		cond := mustCompile(t, c.text)
		got, err := cond.Match(fakeFacts(t))
		if err != nil || got != c.want || cond.NeedsContent() != c.needsContent {
			t.Errorf("%s: %v, %v, needs content %v", c.text, got, err, cond.NeedsContent())
		}
	}
}

// TestMatchDomain: what only the domain of the recipient decides is known;
// what the rest of a message could decide otherwise is not.
func TestMatchDomain(t *testing.T) {
	for text, want := range map[string]string{
		`recipient.domain == "corp.example"`:                        "true",
		`recipient.domain == "other.example"`:                       "false",
		`endswith(recipient.domain, ".example")`:                    "true",
		`contains(["a.example", "corp.example"], recipient.domain)`: "true",
		`contains(["a.example", sender.domain], recipient.domain)`:  "unknown",
		`recipient.domain == "corp.example" && user == "app"`:       "unknown",
		`recipient.domain == "other.example" && user == "app"`:      "false",
		`recipient.domain == "corp.example" || header("X") == "y"`:  "true",
		`recipient.address == "postmaster@corp.example"`:            "unknown",
		`attempt > 3`:                           "unknown",
		`header("X-Bulk") == "yes"`:             "unknown",
		`cidrcontains("10.0.0.0/8", client.ip)`: "unknown",
	} {
		got := "unknown"
		match, known := mustCompile(t, text).(appliance.DomainCondition).MatchDomain("corp.example")
		if known {
			got = strconv.FormatBool(match)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// The null reverse-path, no client, nobody logged in.
func TestConditionOfNothing(t *testing.T) {
	for _, text := range []string{
		`sender.address == "" && user == "" && client.ip == ""`,
		`!cidrcontains("0.0.0.0/0", client.ip)`,
		`attempt == 0`,
	} {
		if got, err := mustCompile(t, text).Match(new(appliance.Facts)); err != nil || !got {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := mustCompile(t, `header("Subject") == ""`).Match(new(appliance.Facts)); err == nil {
		t.Error("a header that is not there yet was looked at")
	}
}

// What fails only when mail comes is an error, which defers; it does not send
// the recipient elsewhere.
func TestConditionFails(t *testing.T) {
	for _, text := range []string{
		`message.size / attempt > 1`,
		`(user == "" ? null : user) == null ? null : true`,
	} {
		cond, ds := compileText(text)
		if cond == nil || len(ds) > 0 {
			t.Fatal(ds)
		}
		if _, err := cond.Match(new(appliance.Facts)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

func TestConditionConcurrently(t *testing.T) {
	cond := mustCompile(t, `matches(user, "^a") && header("List-Id") != "" && contains(["corp.example"], recipient.domain)`)
	facts := fakeFacts(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if got, err := cond.Match(facts); err != nil || !got {
					t.Errorf("%v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCondition(b *testing.B) {
	cond := mustCompile(b, `sender.domain == "news.example.com" || endswith(recipient.domain, ".invalid")`)
	facts := fakeFacts(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cond.Match(facts); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"listener", "signer", "relay", "tls"}
	for written, want := range map[string]string{
		"listner": "listener", "singer": "signer", "relais": "relay", "tsl": "tls",
		"": "", "x": "", "certificate": "", strings.Repeat("a", 1000): "",
	} {
		if got := nearest(written, known); got != want {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
}
