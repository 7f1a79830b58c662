package appliance

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// zone is an Aligner of which a test says what the DNS says.
type zone struct {
	org  map[string]string // the organizational domains that are not the domain itself; "?" is no answer
	spf  map[string]string // "pass", "fail", "?" is no answer; none is no record
	from []netip.Addr      // what MayPassSPF was asked with
}

var errNoAnswer = errors.New("lookup: server misbehaving")

func (z *zone) OrganizationalDomain(_ context.Context, domain string) (string, error) {
	switch org, ok := z.org[domain]; {
	case domain[0] == '[': // as the true one
		return "", errors.New("is an address and no domain")
	case org == "?":
		return "", errNoAnswer
	case ok:
		return org, nil
	}
	return domain, nil
}

func (z *zone) MayPassSPF(_ context.Context, domain string, from []netip.Addr) (bool, error) {
	z.from = from
	if z.spf[domain] == "?" {
		return false, errNoAnswer
	}
	return z.spf[domain] == "pass", nil
}

// aligning opens a pipeline whose signer signs for some domains.
func aligning(t *testing.T, alignment string, z Aligner, signs ...string) *bench {
	t.Helper()
	signer := modifier(KindSigner, "s", func(tx *Transaction) error {
		tx.SignedBy = append(tx.SignedBy, signs...)
		return nil
	})
	b := open(t, &Pipeline{Signers: []Ref[Modifier]{signer}, Unsigned: UnsignedAllow, Alignment: alignment, Rewrites: []Ref[Modifier]{ours("us.example")}})
	b.house.Aligner = z
	return b
}

func TestAlignment(t *testing.T) {
	dns := func() *zone {
		return &zone{
			org: map[string]string{"news.example.org": "example.org", "bounces.example.org": "example.org", "lost.example": "?", "a.lost.example": "?",
				"bare.example": "", "news.bare.example": "", "a.bare.example": "", "b.bare.example": ""},
			spf: map[string]string{"example.org": "pass", "bounces.example.org": "pass", "other.example": "pass", "slow.example": "?"},
		}
	}
	for name, c := range map[string]struct {
		from, sender string
		signs        []string
		want         string // "": aligned; else part of what is said
		unknown      bool   // a warning, and never a reason to refuse
	}{
		"signed for it":                     {from: "slow.example", sender: "other.example", signs: []string{"slow.example"}},
		"below, and no record says":         {from: "news.bare.example", sender: "other.example", signs: []string{"bare.example"}},
		"no record says, and not below":     {from: "a.bare.example", sender: "other.example", signs: []string{"b.bare.example"}, want: "is from a.bare.example"},
		"a record of its own, apart":        {from: "own.bare.example", sender: "other.example", signs: []string{"bare.example"}, want: "is from own.bare.example"},
		"the sender at an address":          {from: "slow.example", sender: "[192.0.2.1]", want: "is from slow.example"},
		"signed for its organization":       {from: "news.example.org", sender: "other.example", signs: []string{"example.org"}},
		"the second signature":              {from: "example.org", sender: "other.example", signs: []string{"other.example", "example.org"}},
		"SPF for it":                        {from: "example.org", sender: "example.org"},
		"SPF for its organization":          {from: "news.example.org", sender: "bounces.example.org"},
		"another has signed":                {from: "example.org", sender: "other.example", signs: []string{"other.example"}, want: "is from example.org: it is signed for other.example"},
		"no SPF":                            {from: "news.example.org", sender: "news.example.org", want: "is from news.example.org: it is not signed"},
		"SPF of somebody else":              {from: "example.org", sender: "other.example", want: "is from example.org"},
		"SPF does not answer":               {from: "slow.example", sender: "slow.example", want: "is from slow.example", unknown: true},
		"no answer, but below":              {from: "a.lost.example", sender: "other.example", signs: []string{"lost.example"}},
		"no answer, and something else":     {from: "lost.example", sender: "other.example", signs: []string{"example.org"}, want: "is from lost.example", unknown: true},
		"a name that only ends like it":     {from: "notexample.org", sender: "other.example", signs: []string{"example.org"}, want: "is from notexample.org"},
		"of two authors one is vouched for": {from: "example.org>, <b@third.example", sender: "example.org", signs: []string{"example.org"}, want: "is from third.example"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []string{"", AlignmentOff, AlignmentWarn, AlignmentReject} {
				b := aligning(t, mode, dns(), c.signs...)
				err := b.send(user(), "bounce@"+c.sender, "From: <a@"+c.from+">\r\n\r\n", "u@x.example")
				objects := c.want != "" && (mode == AlignmentWarn || mode == AlignmentReject)
				if objects && mode == AlignmentReject && !c.unknown {
					wantReply(t, err, "550 5.7.1")
					if err != nil && !strings.Contains(err.Error(), c.want) || len(b.got) != 0 {
						t.Errorf("%s: %v, %d taken", mode, err, len(b.got))
					}
					continue
				}
				if err != nil || len(b.got) != 1 {
					t.Fatalf("%q: %v, %d taken", mode, err, len(b.got))
				}
				told := slices.IndexFunc(b.events, func(e Event) bool { return e.Kind == EventUnaligned })
				if (told >= 0) != objects {
					t.Fatalf("%q: told %v, want %v", mode, told >= 0, objects)
				}
				if objects && (!strings.Contains(b.events[told].Reply.Text, c.want) || (b.events[told].Reply.Err != nil) != c.unknown) {
					t.Errorf("%q: %v (%v)", mode, b.events[told].Reply, b.events[told].Reply.Err)
				}
			}
		})
	}
}

// TestAlignmentOfWhom: strangers, who can only write to us, and reports are not judged.
func TestAlignmentOfWhom(t *testing.T) {
	const foreign = "From: a@foreign.example\r\n\r\n"
	b := aligning(t, AlignmentReject, &zone{})
	for name, err := range map[string]error{
		"stranger": b.send(stranger(), "a@foreign.example", foreign, "u@us.example"),
		"report":   b.send(user(), "", foreign, "u@x.example"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantReply(t, b.send(user(), "a@foreign.example", foreign, "u@x.example"), "550 5.7.1")
	trusted := stranger()
	trusted.Trusted = "10.0.0.0/8"
	wantReply(t, b.send(trusted, "a@foreign.example", foreign, "u@x.example"), "550 5.7.1")
	wantReply(t, b.send(trusted, "a@foreign.example", "Subject: nobody\r\n\r\n", "u@x.example"), "550 5.7.1")
}

// TestAlignmentByName: without an Aligner a domain below the other is aligned.
func TestAlignmentByName(t *testing.T) {
	b := aligning(t, AlignmentReject, nil, "example.org")
	if err := b.send(user(), "a@other.example", "From: a@news.example.org\r\n\r\n", "u@x.example"); err != nil {
		t.Error(err)
	}
	wantReply(t, b.send(user(), "a@other.example", "From: a@example.net\r\n\r\n", "u@x.example"), "550 5.7.1")
}

// outboundRelay is a relay that says how its mail leaves.
type outboundRelay struct {
	fake
	out Outbound
}

func (r *outboundRelay) Outbound() Outbound { return r.out }

// TestAlignmentAddresses: SPF is asked for the addresses that are known.
func TestAlignmentAddresses(t *testing.T) {
	inside, between := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("100.64.3.4")
	six := netip.MustParseAddr("2001:db8::1")
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	to := func(name string, o Outbound) Ref[Relay] {
		o.Families = []string{"ip4"}
		return RefTo[Relay](Addr{KindRelay, name}, &outboundRelay{out: o})
	}
	direct, other := to("a", Outbound{Addresses: []netip.Addr{one}}), to("b", Outbound{Addresses: []netip.Addr{two}})
	for name, c := range map[string]struct {
		relay Ref[Relay]
		route Ref[Relay]
		world []netip.Addr
		want  []netip.Addr
	}{
		"of the relay":       {relay: direct, want: []netip.Addr{one}},
		"of both relays":     {relay: direct, route: other, want: []netip.Addr{one, two}},
		"behind NAT":         {relay: direct, world: []netip.Addr{two}, want: []netip.Addr{two}},
		"a private one":      {relay: direct, route: to("e", Outbound{Addresses: []netip.Addr{inside}})},
		"one of a carrier":   {relay: to("f", Outbound{Addresses: []netip.Addr{one, between}})},
		"private, but told":  {relay: to("e", Outbound{Addresses: []netip.Addr{inside}}), world: []netip.Addr{two}, want: []netip.Addr{two}},
		"one family of two":  {relay: RefTo[Relay](Addr{KindRelay, "g"}, &outboundRelay{out: Outbound{Addresses: []netip.Addr{one}}})},
		"both families":      {relay: RefTo[Relay](Addr{KindRelay, "g"}, &outboundRelay{out: Outbound{Addresses: []netip.Addr{one, six}}}), want: []netip.Addr{one, six}},
		"not known":          {relay: direct, route: to("c", Outbound{})},
		"known to the file":  {relay: to("c", Outbound{}), world: []netip.Addr{two}, want: []netip.Addr{two}},
		"of a provider":      {relay: direct, route: to("d", Outbound{Via: "smtp.example"}), world: []netip.Addr{two}},
		"a relay of no kind": {relay: relay("x"), world: []netip.Addr{two}},
	} {
		p := &Pipeline{Relay: c.relay}
		if c.route.IsSet() {
			p.Routes = []Route{{Relay: c.route}, {Relay: c.relay}}
		}
		p.house.Outward = func() []netip.Addr { return c.world }
		if got := p.outward(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAlignmentValidate(t *testing.T) {
	for value, ok := range map[string]bool{"": true, "off": true, "warn": true, "reject": true, "strict": false} {
		p := &Pipeline{Alignment: value, Auth: []Ref[Authenticator]{authenticator("x", nil)}, Relay: relay("out")}
		err := p.Validate()
		attr, blamed := errors.AsType[*AttrError](err)
		if (err == nil) != ok || !ok && (!blamed || attr.Attr != "alignment") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestAlignmentTold: the posture and "waxwing explain" say what is in force.
func TestAlignmentTold(t *testing.T) {
	for value, want := range map[string]string{"": "", AlignmentOff: "", AlignmentWarn: "sent, with a warning in the log", AlignmentReject: "refused with 550"} {
		b := aligning(t, value, nil, "example.org")
		x := b.Explain(t.Context(), b.Addr(), Question{From: box(t, "a@example.org"), To: box(t, "u@us.example")})
		i := slices.IndexFunc(x.Answers, func(a Answer) bool { return a.Topic == "alignment" })
		if (i >= 0) != (want != "") || i >= 0 && (!strings.Contains(x.Answers[i].Text, want) || x.Answers[i].Attr != "alignment") {
			t.Errorf("%q: explained as %+v", value, x.Answers)
		}
		if got := b.posture().Unaligned; want != "" && got != want || want == "" && got != "sent: not looked at" {
			t.Errorf("%q: the posture says %q", value, got)
		}
	}
}
