package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// described writes attributes as a table.
func described(b *strings.Builder, all []Attribute, indent string) {
	for _, a := range all {
		b.WriteString(indent + a.Name + " " + strings.Join(a.Labels, " ") + ": " + a.Type)
		if a.Required {
			b.WriteString(", required")
		}
		if a.Many {
			b.WriteString(", many")
		}
		if a.Default != "" {
			b.WriteString(" = " + a.Default)
		}
		b.WriteString(" (" + a.Owner.Name() + "." + a.Field + ")\n")
		described(b, a.Block, indent+"  ")
	}
}

func TestDescribe(t *testing.T) {
	for addr, want := range map[string]string{
		"listener.submission": `
address : string = ":587" (shared.Address)
tls : reference to a tls block (shared.TLS)
trusted : list of strings (shared.Trusted)
timeout : duration = "5m" (shared.Timeout)
`,
		"auth.static": `
user name: block, many (fakeAuth.Users)
  password : secret, required (fakeUser.Password)
  groups : list of strings (fakeUser.Groups)
`,
		"check.senders": `
on_error : string = "defer" (fakeCheck.OnError)
score : number (fakeCheck.Score)
limit : number (fakeCheck.Limit)
small : number (fakeCheck.Small)
strict : true or false = false (fakeCheck.Strict)
allow : map of lists of strings (fakeCheck.Allow)
names : map of strings (fakeCheck.Names)
size : size (fakeCheck.Size)
warmup : block (fakeCheck.Warmup)
  start : string, required (fakeWarmup.Start)
  every : duration (fakeWarmup.Every)
`,
		"relay.smarthost": `
address : string, required (fakeRelay.Address)
password : secret (fakeRelay.Password)
fallback : reference to a relay block (fakeRelay.Fallback)
report : reference to a rewrite or signer block (fakeRelay.Report)
`,
	} {
		kind, name, _ := strings.Cut(addr, ".")
		r, ok := fakeRegistry().Get(appliance.Kind(kind), name)
		if !ok {
			t.Fatal(addr)
		}
		got := new(strings.Builder)
		described(got, Describe(r), "")
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got.String()); diff != "" {
			t.Errorf("%s: %s", addr, diff)
		}
	}
	got := new(strings.Builder)
	described(got, append(DescribePipeline(), DescribeSettings()...), "")
	for _, want := range []string{
		"signers : list of references to signer blocks (Pipeline.Signers)",
		"relay : reference to a relay block, required (Pipeline.Relay)",
		"  when : condition, required (Route.When)",
		"  reject : reply (Route.Reject)",
		`  max_message_size : size = "25MiB" (Limits.MaxMessageSize)`,
		`  retry : schedule = "1m, 5m, 15m, 1h*6, 3h*" (QueueSettings.Retry)`,
		`  warn_after : duration = "4h" (QueueSettings.WarnAfter)`,
	} {
		if !strings.Contains(got.String(), want+"\n") {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A tag that makes no sense is a bug of the program, and is found at once.
func TestBadTags(t *testing.T) {
	for name, r := range map[string]appliance.Registration{
		"unknown tag option": {New: func() appliance.Module {
			return &struct {
				fakeSink
				A string `hcl:"a,maybe"`
			}{}
		}},
		"no value can be decoded": {New: func() appliance.Module {
			return &struct {
				fakeSink
				A chan int `hcl:"a"`
			}{}
		}},
		"a block is decoded into": {New: func() appliance.Module {
			return &struct {
				fakeSink
				A string `hcl:"a,block"`
			}{}
		}},
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), name) {
					t.Errorf("%s: %v", name, r)
				}
			}()
			Describe(r)
		}()
	}
}
