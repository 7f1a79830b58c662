package dkim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// keys shared by the tests: making RSA keys takes long.
var (
	rsaKey = mustGenerate(RSA2048)
	edKey  = mustGenerate(Ed25519)
)

func mustGenerate(algorithm string) *Key {
	k, err := Generate(algorithm)
	if err != nil {
		panic(err)
	}
	return k
}

// configured is a signer as the configuration makes it, before Provision.
func configured(change ...func(*DKIM)) *DKIM {
	r, _ := appliance.Builtin.Get(appliance.KindSigner, "dkim")
	d := r.New().(*DKIM)
	d.Domains = []string{"example.com"}
	for _, c := range change {
		c(d)
	}
	return d
}

// stocked is a store that holds a key for each domain, and an Ed25519 key.
func stocked(t testing.TB, domains ...string) *valuestest.Values {
	t.Helper()
	v := new(valuestest.Values)
	for _, domain := range domains {
		for name, k := range map[string]*Key{"waxwing": rsaKey, "waxwing-ed25519": edKey} {
			if err := v.Put(t.Context(), domain+"/"+name+".private", k.PEM()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v
}

func house(v appliance.Values) (*appliance.Context, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return &appliance.Context{
		Addr: appliance.Addr{Kind: appliance.KindSigner, Name: "example"}, Log: zap.New(core), Hostname: "mail.example.com", Values: v,
	}, logs
}

func provision(d *DKIM, v appliance.Values) (*observer.ObservedLogs, error) {
	ctx, logs := house(v)
	if err := d.Validate(); err != nil {
		return logs, err
	}
	return logs, d.Provision(ctx)
}

func start(t testing.TB, d *DKIM, v appliance.Values) *observer.ObservedLogs {
	t.Helper()
	logs, err := provision(d, v)
	if err == nil {
		err = d.Start(t.Context())
		t.Cleanup(func() { check(t, d.Stop(context.Background())) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*DKIM)
		attr   string
		want   string
	}{
		{"no domain", func(d *DKIM) { d.Domains = nil }, "domains", "is missing"},
		{"X4 domain", func(d *DKIM) { d.Domains = []string{"../../etc/passwd"} }, "domains", "domain"},
		{"address", func(d *DKIM) { d.Domains = []string{"[192.0.2.1]"} }, "domains", "is an address"},
		{"twice", func(d *DKIM) { d.Domains = []string{"a.example", "A.example"} }, "domains", "twice"},
		{"X4 selector", func(d *DKIM) { d.Selector = "a/b" }, "selector", "no selector"},
		{"X4 dots", func(d *DKIM) { d.Selector = ".." }, "selector", "no selector"},
		{"X4 NUL", func(d *DKIM) { d.Selector = "a\x00" }, "selector", "no selector"},
		{"empty selector", func(d *DKIM) { d.Selector = "" }, "selector", "no selector"},
		{"long label", func(d *DKIM) { d.Selector = strings.Repeat("a", 64) }, "selector", "no selector"},
		{"long name", func(d *DKIM) {
			d.Selector = strings.Repeat(strings.Repeat("a", 60)+".", 3) + "a"
			d.Domains = []string{strings.Repeat("b", 60) + ".example"}
		}, "selector", "253"},
		{"unknown algorithm", func(d *DKIM) { d.Algorithms = []string{"rsa512"} }, "algorithms", `"rsa2048"`},
		{"no algorithm", func(d *DKIM) { d.Algorithms = nil }, "algorithms", "is empty"},
		{"two of a kind", func(d *DKIM) { d.Algorithms = []string{RSA2048, RSA4096} }, "algorithms", "one is enough"},
		{"short expiry", func(d *DKIM) { d.Expire = 1 }, "expire", `"1d"`},
		{"no From", func(d *DKIM) { d.Headers = []string{"Subject"} }, "headers", `"From"`},
		{"header twice", func(d *DKIM) { d.Headers = []string{"From", "from"} }, "headers", "twice"},
		{"no header name", func(d *DKIM) { d.Headers = []string{"From", "a b"} }, "headers", "no name"},
		{"header with semicolon", func(d *DKIM) { d.Headers = []string{"From", "a;b"} }, "headers", "no name"},
		{"trace", func(d *DKIM) { d.Headers = []string{"From", "received"} }, "headers", "cannot be signed"},
		{"too many headers", func(d *DKIM) {
			for i := range maxHeaders {
				d.Headers = append(d.Headers, fmt.Sprint("X-", i))
			}
		}, "headers", "more than"},
		{"key without file", func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "mail"}} }, "key", "needs file"},
		{"key selector", func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "../x", File: "f"}} }, "key", "no selector"},
		{"key domain", func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "x", Domain: "a b", File: "f"}} }, "key", "domain"},
		{"key for nothing", func(d *DKIM) { d.Domains, d.KeyFiles = nil, []KeyFile{{Selector: "x", File: "f"}} }, "key", "no domain"},
		{"short rotation", func(d *DKIM) { d.Rotate = time.Hour }, "rotate", `"7d"`},
		{"short grace", func(d *DKIM) { d.Grace = 0 }, "grace", `"1d"`},
		{"rotation of files", func(d *DKIM) { d.Rotate, d.KeyDir = leastRotate, "/keys" }, "rotate", "bring their own"},
		{"publication of files", func(d *DKIM) {
			d.KeyFiles, d.Publish = []KeyFile{{Selector: "x", File: "f"}}, appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, nil)
		}, "publish", "bring their own"},
		{"no room for a day", func(d *DKIM) { d.Rotate, d.Selector = leastRotate, strings.Repeat("a", 60) }, "selector", "no room"},
		{"same selector", func(d *DKIM) {
			d.KeyFiles = []KeyFile{{Selector: "x", File: "f"}, {Selector: "X", Domain: "example.com", File: "g"}}
		}, "key", "two keys"},
	} {
		err := configured(c.change).Validate()
		var attr *appliance.AttrError
		if !errors.As(err, &attr) || attr.Attr != c.attr || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s: %q", c.name, err, c.attr, c.want)
		}
	}
	for _, good := range []func(*DKIM){
		func(*DKIM) {},
		func(d *DKIM) { d.Expire = 0 },
		func(d *DKIM) { d.Rotate, d.Grace = leastRotate, leastGrace },
		func(d *DKIM) { d.Selector = strings.Repeat("a", 60) },
		func(d *DKIM) { d.Selector = "s1.2026" },
		func(d *DKIM) { d.Domains = []string{"bücher.example", "example.com"} },
		func(d *DKIM) { d.Algorithms = []string{Ed25519, RSA4096} },
		func(d *DKIM) { d.Headers = append(d.Headers, "X-Campaign") },
		func(d *DKIM) {
			d.Domains, d.KeyFiles = nil, []KeyFile{{Selector: "x", Domain: "a.example", File: "f"}, {Selector: "x", Domain: "b.example", File: "f"}}
		},
	} {
		if err := configured(good).Validate(); err != nil {
			t.Error(err)
		}
	}
}

// TestResponsible: which domain signs for which author.
func TestResponsible(t *testing.T) {
	for _, c := range []struct {
		from       string
		subdomains bool
		want       string
	}{
		{"a@example.com", true, "example.com"},
		{"A <a@EXAMPLE.com>", false, "example.com"},
		{"a@sub.example.com", true, "example.com"},
		{"a@sub.example.com", false, ""},
		{"a@own.example.com", true, "own.example.com"},
		{"a@deep.own.example.com", true, "own.example.com"},
		{"a@notexample.com", true, ""},
		{"a@com", true, ""},
		{"a@[192.0.2.1]", true, ""},
		{"a@bücher.example", true, "xn--bcher-kva.example"},
		{"x@other.example, a@example.com", true, "example.com"},
		{"", true, ""},
		{"nobody", true, ""},
	} {
		d := configured(func(d *DKIM) {
			d.Domains = []string{"example.com", "own.example.com", "bücher.example"}
			d.Subdomains = c.subdomains
		})
		start(t, d, stocked(t, "example.com", "own.example.com", "xn--bcher-kva.example"))
		var h appliance.Header
		h.Append(appliance.NewField("From", c.from))
		if got := d.responsible(&h); got != c.want {
			t.Errorf("%q, subdomains %v: %q, want %q", c.from, c.subdomains, got, c.want)
		}
	}
}
