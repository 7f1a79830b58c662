package selftest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// own signs as the signer of this server does.
var own = []signer{{domain: "example.com", key: 1}}

// letters are the messages of TestJudge, by the name of their golden file.
var letters = map[string]func() letter{
	"all_well": func() letter { return letter{signers: own, zone: well()} },
	"no_spf": func() letter {
		z := well()
		delete(z.txt, "example.com")
		return letter{signers: own, zone: z}
	},
	"spf_fails": func() letter {
		z := well()
		z.txt["example.com"] = []string{"v=spf1 ip4:198.51.100.1 -all"}
		return letter{signers: own, zone: z}
	},
	"spf_softfails": func() letter {
		z := well()
		z.txt["example.com"] = []string{"v=spf1 ip4:198.51.100.1 ~all"}
		return letter{signers: own, zone: z}
	},
	"two_addresses": func() letter {
		return letter{signers: own, zone: well(), change: func(l *Letter) {
			l.Sources = append(l.Sources, Source{l.Sources[0].Addr.Next(), "mail.example.com"}, Source{l.Sources[0].Addr.Next().Next(), "mail.example.com"})
		}}
	},
	"key_missing": func() letter {
		z := well()
		delete(z.txt, "w1._domainkey.example.com")
		return letter{signers: own, zone: z}
	},
	"key_other": func() letter {
		z := well()
		z.txt["w1._domainkey.example.com"] = []string{record(2)}
		return letter{signers: own, zone: z}
	},
	"key_of_others_does_not_fit": func() letter {
		z := well()
		z.txt["w1._domainkey.esp.example"] = []string{record(2)}
		return letter{signers: []signer{{domain: "esp.example", key: 1}}, zone: z}
	},
	"two_keys": func() letter {
		z := well()
		z.txt["w1._domainkey.example.com"] = []string{record(1), record(2)}
		return letter{signers: own, zone: z}
	},
	"key_for_testing": func() letter {
		z := well()
		z.txt["w1._domainkey.example.com"] = []string{record(1) + "; t=y"}
		return letter{signers: own, zone: z}
	},
	"key_strict": func() letter {
		z := well()
		z.txt["w1._domainkey.example.com"] = []string{record(1) + "; t=s"}
		return letter{signers: []signer{{domain: "example.com", agent: "@sub.example.com", key: 1}}, zone: z}
	},
	"one_of_two_signatures": func() letter {
		return letter{signers: []signer{{domain: "example.com", key: 1}, {domain: "example.org", key: 1}}, zone: well()}
	},
	"weak_signature": func() letter {
		return letter{signers: []signer{{domain: "example.com", key: 1, expires: 26 * time.Hour, leaveOut: "Subject"}}, zone: well()}
	},
	"not_signed": func() letter { return letter{zone: well(), change: func(l *Letter) { l.SignedBy = nil }} },
	"dmarc_unaligned": func() letter {
		return letter{fields: []string{"From: boss@other.example"}, signers: []signer{{domain: "esp.example", key: 1}}, zone: well()}
	},
	"dmarc_unaligned_p_none": func() letter {
		z := well()
		z.txt["_dmarc.other.example"] = []string{"v=DMARC1; p=none"}
		return letter{fields: []string{"From: boss@other.example"}, signers: own, zone: z}
	},
	"dmarc_missing_and_unaligned": func() letter {
		z := well()
		delete(z.txt, "_dmarc.other.example")
		return letter{fields: []string{"From: boss@other.example"}, signers: own, zone: z}
	},
	"dmarc_silent": func() letter {
		z := well()
		z.silent["_dmarc.example.com"] = true
		return letter{signers: own, zone: z}
	},
	"dmarc_twice": func() letter {
		z := well()
		z.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=reject", "v=DMARC1; p=none"}
		return letter{signers: own, zone: z}
	},
	"dmarc_with_a_mistake": func() letter {
		z := well()
		z.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=reject; adkim=x"}
		return letter{signers: own, zone: z}
	},
	"dmarc_without_effect": func() letter {
		z := well()
		z.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=reject; sp=everything; rua=reports@example.com"}
		return letter{signers: own, zone: z}
	},
	"dmarc_missing": func() letter {
		z := well()
		delete(z.txt, "_dmarc.example.com")
		return letter{signers: own, zone: z}
	},
	"below_its_organization": func() letter {
		return letter{fields: []string{"From: news@news.example.com"}, signers: own, zone: well()}
	},
	"no_ptr": func() letter {
		return letter{signers: own, zone: well(), change: func(l *Letter) {
			l.Server = []appliance.Finding{{
				Name: "PTR of 203.0.113.5", Status: appliance.FoundFail, Text: "203.0.113.5 has no PTR record: many receivers refuse its mail",
				Fix: "ask the provider of the address to let 203.0.113.5 be mail.example.com", Record: "ptr",
			}}
		}}
	},
	"on_two_blocklists": func() letter {
		return letter{signers: own, zone: well(), change: func(l *Letter) {
			for _, list := range []string{"one.example", "two.example"} {
				l.Server = append(l.Server, appliance.Finding{Name: "203.0.113.5 on " + list, Status: appliance.FoundFail, Text: "listed", Fix: "ask to be taken off", Record: "blocklist"})
			}
			l.Server = append(l.Server, appliance.Finding{Name: "SPF of mail.example.com", Status: appliance.FoundWarn, Text: "there is none", Fix: "publish it", Record: "spf"})
			l.Server = append(l.Server, appliance.Finding{Name: "host name", Status: appliance.FoundWarn, Text: "has another address", Fix: "publish it", Record: "a"})
		}}
	},
	"no_tls": func() letter {
		return letter{signers: own, zone: well(), change: func(l *Letter) { l.TLS = "none" }}
	},
	"bulk_without_unsubscribe": func() letter {
		return letter{fields: []string{"Precedence: bulk"}, signers: own, zone: well()}
	},
	"bulk_by_mail_only": func() letter {
		return letter{fields: []string{"List-Unsubscribe: <mailto:leave@example.com>"}, signers: own, zone: well()}
	},
	"bulk_without_post": func() letter {
		return letter{fields: []string{"List-Unsubscribe: <https://example.com/u/1>"}, signers: own, zone: well()}
	},
	"bulk_one_click": func() letter {
		return letter{fields: oneClick, signers: own, zone: well(), change: func(l *Letter) { l.Bulk = true }}
	},
	"bulk_click_not_signed": func() letter {
		return letter{fields: oneClick, signers: []signer{{domain: "example.com", key: 1, leaveOut: "List-Unsubscribe-Post"}}, zone: well()}
	},
	"two_from": func() letter {
		return letter{fields: []string{"From: a@example.com|From: b@example.com"}, signers: own, zone: well()}
	},
	"header_of_a_bad_script": func() letter {
		return letter{fields: []string{
			"Date: " + noon.Add(-72*time.Hour).Format(time.RFC1123Z), "To:", "Subject: BUY NOW AND HERE", "Message-ID: <1@localhost>",
			`From: "boss@bank.example" <app@example.com>`, "Reply-To: a@example.com|Reply-To: b@example.com",
		}, signers: own, zone: well()}
	},
	"html_alone": func() letter {
		return letter{fields: []string{"Content-Type: text/html; charset=utf-8"}, body: "<p>Hello</p>\r\n", signers: own, zone: well()}
	},
	"broken_mime": func() letter {
		return letter{fields: []string{"Content-Type: multipart/alternative; boundary=x"}, body: "no part\r\n", signers: own, zone: well()}
	},
	"long_line": func() letter {
		return letter{body: strings.Repeat("x", 1200) + "\r\n", signers: own, zone: well()}
	},
	"too_large": func() letter {
		return letter{body: strings.Repeat(strings.Repeat("x", 70)+"\r\n", 26_000_000/72), signers: own, zone: well()}
	},
	"sender_without_mail": func() letter {
		z := well()
		delete(z.mx, "example.com")
		return letter{signers: own, zone: z}
	},
	"nothing_known": func() letter {
		z := well()
		z.silent["*"] = true
		return letter{signers: own, zone: z, change: func(l *Letter) { l.Sources, l.Server, l.TLS = nil, nil, "" }}
	},
	"smarthost": func() letter {
		z := well()
		z.txt["example.com"] = []string{"v=spf1 include:amazonses.com ~all"}
		return letter{signers: own, zone: z, change: func(l *Letter) {
			l.Sources, l.Server, l.Via, l.Includes, l.TLS = nil, nil, "email-smtp.eu-west-1.amazonaws.com", []string{"amazonses.com"}, "required"
		}}
	},
	"smarthost_without_spf": func() letter {
		z := well()
		delete(z.txt, "example.com")
		return letter{signers: own, zone: z, change: func(l *Letter) {
			l.Sources, l.Server, l.Via, l.Includes = nil, nil, "email-smtp.eu-west-1.amazonaws.com", []string{"amazonses.com"}
		}}
	},
	"report": func() letter {
		z := well()
		z.txt["mail.example.com"] = []string{"v=spf1 a -all"}
		return letter{signers: own, zone: z, change: func(l *Letter) { l.Envelope.From = appliance.Mailbox{} }}
	},
	"captured": func() letter {
		return letter{signers: own, zone: well(), change: func(l *Letter) { l.Captured = true }}
	},
	"held": func() letter {
		return letter{signers: own, zone: well(), change: func(l *Letter) { l.Held = "900 recipients in an hour, where the most has been 2" }}
	},
}

var oneClick = []string{"List-Unsubscribe: <https://example.com/u/1>, <mailto:leave@example.com>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"}

// TestJudge compares the report on each letter with its golden file.
func TestJudge(t *testing.T) {
	for name, make := range letters {
		t.Run(name, func(t *testing.T) {
			r := Judge(t.Context(), make().write(t))
			got := text(&r)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // a golden file
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if all, err := filepath.Glob("testdata/*.golden"); err != nil || len(all) != len(letters) {
		t.Errorf("%d golden files for %d letters, %v", len(all), len(letters), err)
	}
}

// text is a report, a line for each thing.
func text(r *Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "score %d, good %v\n%s\n", r.Score, r.Good, r.Verdict)
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "\n%s\n", g.Name)
		for i := range g.Items {
			x := &g.Items[i]
			fmt.Fprintf(&b, "  %s -%d %s: %s\n", x.Status, x.Lost, x.Name, x.Text)
			if x.Fix != "" {
				fmt.Fprintf(&b, "    -> %s\n", x.Fix)
			}
		}
	}
	b.WriteString("\n")
	for _, q := range r.Requirements {
		fmt.Fprintf(&b, "%s: %s\n", q.State, q.Name)
	}
	return b.String()
}
