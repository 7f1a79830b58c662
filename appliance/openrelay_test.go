package appliance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// served is what the pipelines of these tests claim.
var served = []string{"us.example", "xn--bcher-kva.example"}

// TestPipelineP16 is section 2.4: what an open relay test sends to a pipeline
// that serves us.example. Each either is no address at all, or is refused, or
// is ours because its domain is, whatever the local part may look like.
func TestPipelineP16(t *testing.T) {
	const denied, local = "550 5.7.1", "taken"
	for to, want := range map[string]string{
		"u@th.example": denied, "u@TH.example": denied, "u@th.example.": "", "u@us.example.th.example": denied,
		"u%th.example@us.example": local, `"u@th.example"@us.example`: local, `"u%th.example"@us.example`: local,
		"th.example!u@us.example": local, "u%th.example@[192.0.2.25]": denied, `"u@th.example"@[192.0.2.25]`: denied,
		"u@[192.0.2.25]": denied, "u@[127.0.0.1]": denied, "u@[IPv6:::1]": denied, "u@localhost": denied,
		`"u@th.example"`: "", `"u%th.example"`: "", "u@th.example@us.example": "", "u@us.example@th.example": "",
		"u@th.example@[192.0.2.25]": "", "@us.example:u@th.example": "", "@[192.0.2.25]:u@th.example": "",
		"@us.example,@x:u@th.example": "", "th.example!u": "", "th.example!u@[192.0.2.25]": denied, "u@th.example%us.example": "",
		"u@us.example.th": denied, "u@[198.51.100.1]": denied, "u@th.example (us.example)": "", "u@us.example\x00@th.example": "",
		"u@xn--th-xka.example": denied, "u＠th.example": "", "u@us.example＠th.example": "", "u@b\u00fccher.example": local, "u@BU\u0308CHER.example": local,
		"postmaster": denied, // no rewrite of this pipeline serves the host name
	} {
		m, err := ParseMailbox(to)
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", to, err)
			}
			continue
		}
		for _, from := range []string{"", "a@th.example", "a@us.example", "postmaster@us.example", "a@[192.0.2.25]", "a@localhost"} {
			b := open(t, &Pipeline{Rewrites: []Ref[Modifier]{ours(served...)}, Auth: []Ref[Authenticator]{authenticator("x", nil)}})
			err := b.send(stranger(), from, plain, m.String())
			if got := cmpReply(err, local); !strings.HasPrefix(got, want) || want == "" {
				t.Errorf("from %q to %q: %s, want %q", from, to, got, want)
			}
			if want == denied && (len(b.got) != 0 || b.kinds() != "refused:5.7.1") {
				t.Errorf("to %q: %d messages stored", to, len(b.got))
			}
		}
	}
}

func cmpReply(err error, ok string) string {
	if err == nil {
		return ok
	}
	return err.Error()
}

// TestPipelineC12: postmaster is reached at our own name, in any case.
func TestPipelineC12(t *testing.T) {
	for _, to := range []string{"Postmaster", "POSTMASTER", "postmaster@mail.example.org", "PostMaster@MAIL.example.org"} {
		b := open(t, &Pipeline{Rewrites: []Ref[Modifier]{ours("mail.example.org")}})
		if err := b.send(stranger(), "a@th.example", plain, to); err != nil || b.got[0].Deliveries[0].Destination != "out/mail.example.org" {
			t.Errorf("%s: %v", to, err)
		}
	}
	b := open(t, &Pipeline{})
	if err := b.send(user(), "postmaster", plain, "u@x.example"); err != nil || b.got[0].Envelope.From != box(t, "postmaster@mail.example.org") {
		t.Errorf("a sender without a domain leaves as %v, %v", b.got, err)
	}
}

// mailboxes generates what is an address, tricks included.
func mailboxes() *rapid.Generator[Mailbox] {
	locals := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9._%!@"\\ :,<>+-]{1,20}`),
		rapid.SampledFrom([]string{"u@us.example", "u%us.example", "us.example!u", "postmaster", "jörg", "us.example", "@us.example:u"}),
	)
	labels := rapid.SliceOfN(rapid.SampledFrom([]string{"us", "example", "th", "xn--bcher-kva", "us-example", "usexample", "com"}), 1, 4)
	domains := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string { return strings.Join(labels.Draw(t, "labels"), ".") }),
		rapid.SampledFrom([]string{"us.example", "US.Example", "BÜCHER.example", "ｕｓ.example", "us.example.th", "[192.0.2.25]", "[IPv6:::1]"}),
	)
	return rapid.Custom(func(t *rapid.T) Mailbox {
		m, err := NewMailbox(locals.Draw(t, "local"), domains.Draw(t, "domain"))
		if err != nil {
			t.Skip("no address")
		}
		return m
	})
}

// TestRelayRule is P16 as a property: without authentication and outside the
// trusted networks, a recipient is taken if and only if a rewrite claims it,
// and no check, route or sender changes that. Whoever may relay is never
// denied.
func TestRelayRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		to := mailboxes().Draw(rt, "to")
		from := mailboxes().Draw(rt, "from")
		claims := rapid.SliceOfDistinct(rapid.SampledFrom(served), rapid.ID).Draw(rt, "claims")
		s := stranger()
		relays := rapid.Bool().Draw(rt, "may relay")
		if relays && rapid.Bool().Draw(rt, "by network") {
			s.Trusted = "192.0.2.0/24"
		} else if relays {
			s.Identity = &Identity{User: "app"}
		}
		s.Submission = rapid.Bool().Draw(rt, "submission")
		happy := check("happy", func(Stage, *Transaction) (Verdict, error) {
			return Verdict{Auth: []AuthResult{{Method: "auth", Value: "pass"}}}, nil
		})
		p := &Pipeline{
			Checks:   []Ref[Check]{happy},
			Auth:     []Ref[Authenticator]{authenticator("x", nil)},
			Rewrites: []Ref[Modifier]{modifier(KindRewrite, "none", nil), ours(claims...)},
			Routes:   []Route{{When: domainIs(to.Domain), Relay: relay("other")}},
		}
		b := open(t, p)
		tx, err := b.Mail(context.Background(), s, Envelope{From: from})
		if err != nil {
			rt.Fatal(err)
		}
		err = b.Rcpt(context.Background(), tx, Recipient{Mailbox: to})
		taken := err == nil && len(tx.Envelope.Recipients) == 1
		if want := relays || slices.Contains(claims, to.Domain); taken != want {
			rt.Fatalf("%s of %v: %v", to, claims, err)
		}
		if !taken && (!errors.Is(err, ErrRelayDenied) || len(tx.Envelope.Recipients) != 0) {
			rt.Fatalf("%s: %v", to, err)
		}
	})
}

func TestPipelineValidate(t *testing.T) {
	in := func(networks ...string) []Ref[Listener] {
		return []Ref[Listener]{RefTo[Listener](Addr{KindListener, "in"}, &truster{networks: networks})}
	}
	auth := []Ref[Authenticator]{authenticator("x", nil)}
	reject := text(t, "550 no")
	for _, c := range []struct {
		name string
		p    *Pipeline
		attr string // "" is valid
	}{
		{"auth", &Pipeline{Auth: auth}, ""},
		{"trusted", &Pipeline{Listeners: in("10.0.0.0/8", "fd00::/8", "fc00::/7", "192.0.2.1/32", "::1/128")}, ""},
		{"claims", &Pipeline{Rewrites: []Ref[Modifier]{ours("us.example")}}, ""},
		{"unsigned", &Pipeline{Auth: auth, Unsigned: UnsignedAllow}, ""},
		{"route", &Pipeline{Auth: auth, Routes: []Route{{Relay: relay("x")}, {Reject: reject}}}, ""},

		{"open to all", &Pipeline{}, "relay"},
		{"open to all, with listeners", &Pipeline{Listeners: in()}, "relay"},
		{"a rewrite that claims nothing", &Pipeline{Rewrites: []Ref[Modifier]{modifier(KindRewrite, "x", nil)}}, "relay"},
		{"trusts everybody", &Pipeline{Auth: auth, Listeners: in("192.0.2.0/24", "0.0.0.0/0")}, "listeners"},
		{"trusts everybody, IPv6", &Pipeline{Auth: auth, Listeners: in("::/0")}, "listeners"},
		{"trusts both halves", &Pipeline{Listeners: in("0.0.0.0/1", "128.0.0.0/1")}, "listeners"},
		{"trusts all of the IPv6 Internet", &Pipeline{Listeners: in("2000::/3")}, "listeners"},
		{"trusts everybody, mapped", &Pipeline{Listeners: in("::ffff:0.0.0.0/96")}, "listeners"},
		{"unsigned misspelt", &Pipeline{Auth: auth, Unsigned: "alow"}, "unsigned"},
		{"route to nowhere", &Pipeline{Auth: auth, Routes: []Route{{}}}, "route"},
		{"route to two places", &Pipeline{Auth: auth, Routes: []Route{{Relay: relay("x"), Reject: reject}}}, "route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.p.Validate()
			blame, ok := errors.AsType[*AttrError](err)
			if ok != (c.attr != "") || ok && blame.Attr != c.attr || !ok && err != nil {
				t.Errorf("got %v, want the blame on %q", err, c.attr)
			}
		})
	}
}
