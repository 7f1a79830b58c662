package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const plain = "From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n"

func TestPipelineAccepts(t *testing.T) {
	b := open(t, &Pipeline{})
	if err := b.send(user(), "a@example.org", plain, "u@x.example", "v@y.example", "w@x.example"); err != nil {
		t.Fatal(err)
	}
	a := b.got[0]
	want := "Received: from client.example ([192.0.2.1]) by mail.example.org with ESMTPA id\r\n " +
		string(a.ID) + "; Thu, 20 Aug 2026 12:00:00 +0000\r\n" + plain
	if b.bytes[0] != want {
		t.Errorf("stored\n%s\nwant\n%s", b.bytes[0], want)
	}
	// Accepted promises that the envelope names the recipients of the deliveries, in order.
	var envelope, deliveries []string
	for _, r := range a.Envelope.Recipients {
		envelope = append(envelope, r.Mailbox.String())
	}
	for _, d := range a.Deliveries {
		if !d.Due.Equal(noon) {
			t.Errorf("%s is due at %v", d.Destination, d.Due)
		}
		deliveries = append(deliveries, d.Destination)
		for _, r := range d.Recipients {
			deliveries = append(deliveries, r.Mailbox.String())
		}
	}
	if got := strings.Join(envelope, " "); got != "u@x.example w@x.example v@y.example" {
		t.Errorf("envelope: %s", got)
	}
	if got := strings.Join(deliveries, " "); got != "out/x.example u@x.example w@x.example out/y.example v@y.example" {
		t.Errorf("deliveries: %s", got)
	}
	if o := a.Origin; o.Pipeline != "test" || o.Listener != "in" || o.Session != "s1" || o.User != "app" || o.Client != "192.0.2.1" {
		t.Errorf("origin: %+v", o)
	}
	if len(b.events) != 1 || b.open != 0 {
		t.Fatalf("%d events, %d open drafts", len(b.events), b.open)
	}
	e := b.events[0]
	if e.Kind != EventAccepted || e.ID != a.ID || e.Recipients != 3 || e.Size != int64(len(want)) || !e.Time.Equal(noon) ||
		e.Reply.String() != "250 2.0.0 queued as "+string(a.ID) {
		t.Errorf("event: %+v", e)
	}
}

// TestPipelineS13 is S13: what is no header, or no body, is a message too, and
// a header and a body are always apart.
func TestPipelineS13(t *testing.T) {
	for in, body := range map[string]string{
		"":                          "\r\n",
		"\r\n":                      "\r\n",
		"A: 1\r\n":                  "A: 1\r\n\r\n",
		"A: 1":                      "A: 1\r\n\r\n",
		"A: 1\r\n\r\n":              "A: 1\r\n\r\n",
		"A: 1\r\n\r\nbody":          "A: 1\r\n\r\nbody",
		".\r\n":                     "\r\n.\r\n",
		"no header\r\nA: 1\r\n":     "\r\nno header\r\nA: 1\r\n",
		"A: 1\r\nbody\r\n":          "A: 1\r\n\r\nbody\r\n",
		" folded nothing\r\n":       "\r\n folded nothing\r\n",
		"A: 1\r\n \r\n\r\nbody\r\n": "A: 1\r\n \r\n\r\nbody\r\n",
		"\r\n\r\n":                  "\r\n\r\n",
	} {
		b := open(t, &Pipeline{})
		if err := b.send(user(), "a@example.org", in, "u@x.example"); err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		trace, err := ParseHeader(b.got[0].Header.fields[0].Raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.bytes[0][trace.Len():]; got != body {
			t.Errorf("%q is stored as %q, want %q", in, got, body)
		}
	}
}

// TestPipelineSubmission: only where users hand in mail is a header completed (H4).
func TestPipelineSubmission(t *testing.T) {
	const in = "Bcc: x@example.org\r\n\r\nbody\r\n"
	b := open(t, &Pipeline{})
	if err := b.send(user(), "a@example.org", in, "u@x.example"); err != nil || !strings.HasSuffix(b.bytes[0], "+0000\r\n"+in) {
		t.Errorf("relayed mail: %v\n%s", err, b.bytes)
	}
	s := user()
	s.Submission = true
	if err := b.send(s, "a@example.org", in, "u@x.example"); err != nil {
		t.Fatal(err)
	}
	want := "From: <a@example.org>\r\nDate: Thu, 20 Aug 2026 12:00:00 +0000\r\nMessage-ID: <" + string(b.got[1].ID) + "@mail.example.org>\r\n\r\nbody\r\n"
	if !strings.HasSuffix(b.bytes[1], "+0000\r\n"+want) {
		t.Errorf("submitted mail:\n%s", b.bytes[1])
	}
	wantReply(t, b.send(s, "", in, "u@x.example"), "550 5.6.0")
}

// TestPipelineH2 is H2: forged results of ours are removed, those of others
// stay, and ours stand above all, below Received.
func TestPipelineH2(t *testing.T) {
	found := check("spf", func(at Stage, _ *Transaction) (Verdict, error) {
		return Verdict{Auth: []AuthResult{{Method: map[Stage]string{AtConnect: "iprev", AtSender: "spf", AtRecipient: "x-rcpt", AtContent: "dkim"}[at], Value: "pass"}}}, nil
	})
	b := open(t, &Pipeline{Checks: []Ref[Check]{found}})
	s := user()
	if err := b.Connect(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	in := "authentication-results:\r\n (x) MAIL.example.ORG; dkim=pass\r\nAuthentication-Results: other.example; dkim=pass\r\n" +
		"Authentication-Results : \"mail.example.org\" 1; spf=pass\r\n\r\n"
	for range 2 { // what was found at AtConnect holds for every message, once
		if err := b.send(s, "a@example.org", in, "u@x.example"); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range b.bytes {
		_, got, _ = strings.Cut(got, "+0000\r\n")
		if want := "Authentication-Results: mail.example.org; iprev=pass; spf=pass; x-rcpt=pass;\r\n dkim=pass\r\n" +
			"Authentication-Results: other.example; dkim=pass\r\n\r\n"; got != want {
			t.Errorf("stored\n%s\nwant\n%s", got, want)
		}
	}
}

// TestPipelineN15 is N15: a message that has come too far is in a loop.
func TestPipelineN15(t *testing.T) {
	for hops, loop := range map[int]bool{30: false, 99: false, 100: true, 101: true} {
		b := open(t, &Pipeline{})
		err := b.send(user(), "a@example.org", strings.Repeat("Received: from a by b; x\r\n", hops)+plain, "u@x.example")
		if loop {
			wantReply(t, err, "554 5.4.6")
		} else if err != nil {
			t.Errorf("%d Received: %v", hops, err)
		}
	}
}

// TestPipelineC14 is C14: beyond the limit 452, and the transaction goes on; a
// recipient named again is delivered once.
func TestPipelineC14(t *testing.T) {
	b := open(t, &Pipeline{})
	ctx := context.Background()
	tx, err := b.Mail(ctx, user(), Envelope{From: box(t, "a@example.org")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := b.Rcpt(ctx, tx, Recipient{Mailbox: Mailbox{fmt.Sprint("u", i), "x.example"}}); err != nil {
			t.Fatalf("recipient %d: %v", i+1, err)
		}
	}
	wantReply(t, b.Rcpt(ctx, tx, Recipient{Mailbox: box(t, "v@x.example")}), "452 4.5.3")
	for range 1000 {
		if err := b.Rcpt(ctx, tx, Recipient{Mailbox: box(t, "u7@x.example")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Data(ctx, tx, strings.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	if n := len(b.got[0].Envelope.Recipients); n != 1000 || len(b.got[0].Deliveries[0].Recipients) != 1000 {
		t.Errorf("%d recipients", n)
	}
}

// TestPipelineExpansion: recipients that several aliases lead to get one copy.
func TestPipelineExpansion(t *testing.T) {
	alias := modifier(KindRewrite, "aliases", func(tx *Transaction) error {
		var all []Recipient
		for _, r := range tx.Envelope.Recipients {
			all = append(all, r, Recipient{Mailbox: Mailbox{"team", "x.example"}})
		}
		tx.Envelope.Recipients = all
		return nil
	})
	b := open(t, &Pipeline{Rewrites: []Ref[Modifier]{alias}})
	if err := b.send(user(), "a@example.org", plain, "u@x.example", "v@x.example"); err != nil {
		t.Fatal(err)
	}
	if n := len(b.got[0].Envelope.Recipients); n != 3 || len(b.got[0].Deliveries[0].Recipients) != 3 {
		t.Errorf("%d recipients, want 3", n)
	}
	if e := b.events[len(b.events)-1]; e.Kind != EventAccepted || e.Recipients != 3 {
		t.Errorf("%s tells of %d recipients, want 3", e.Kind, e.Recipients)
	}
	drop := modifier(KindRewrite, "drop", func(tx *Transaction) error { tx.Envelope.Recipients = nil; return nil })
	b = open(t, &Pipeline{Rewrites: []Ref[Modifier]{drop}})
	wantReply(t, b.send(user(), "a@example.org", plain, "u@x.example"), "554 5.5.1 No recipients")
}

// TestPipelineSizes is S17: the limit holds to the octet.
func TestPipelineSizes(t *testing.T) {
	b := open(t, &Pipeline{})
	limit := len(plain) + 1
	b.house.Limits.MaxMessageSize = Size(limit)
	for n := limit - 1; n <= limit+1; n++ {
		err := b.send(user(), "a@example.org", plain+strings.Repeat("x", n-len(plain)), "u@x.example")
		if n > limit {
			wantReply(t, err, "552 5.3.4")
		} else if err != nil {
			t.Errorf("%d octets of %d: %v", n, limit, err)
		}
	}
	_, err := b.Mail(context.Background(), user(), Envelope{Size: int64(limit) + 1})
	wantReply(t, err, "552 5.3.4")
	b.house.Limits.MaxHeader = 10
	wantReply(t, b.send(user(), "a@example.org", plain, "u@x.example"), "552 5.3.4 Message header")
	if b.open != 0 {
		t.Errorf("%d drafts are still open", b.open)
	}
}

// TestPipelineP8 is P8, P13 and P2: whatever fails on our side answers 4yz,
// tells the stranger nothing, stores nothing, and is told once.
func TestPipelineP8(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(*bench)
		want  string
	}{
		{"draft", func(b *bench) { b.draftErr = errLocal }, "451 4.3.0"},
		{"disk full", func(b *bench) { b.draftErr = fmt.Errorf("store: %w", ErrFull) }, "452 4.3.1"},
		{"write", func(b *bench) { b.writeErr = errLocal }, "451 4.3.0"},
		{"write, disk full", func(b *bench) { b.writeErr = ErrFull.With(errLocal) }, "452 4.3.1"},
		{"body", func(b *bench) { b.bodyErr = errLocal }, "451 4.3.0"},
		{"commit", func(b *bench) { b.commitErr = errLocal }, "451 4.3.0"},
		{"a commit that succeeds in failing", func(b *bench) { b.commitErr = NewReply(250, 0, 0, "done") }, "451 4.3.0"},
		{"check", func(b *bench) {
			b.Checks = []Ref[Check]{check("dns", func(at Stage, _ *Transaction) (Verdict, error) { return Verdict{}, onlyAt(at, AtContent, errLocal) })}
		}, "451 4.3.0"},
		{"check with a reply", func(b *bench) {
			b.Checks = []Ref[Check]{check("dns", func(at Stage, _ *Transaction) (Verdict, error) {
				return Verdict{}, onlyAt(at, AtContent, NewReply(450, 7, 1, "later").With(errLocal))
			})}
		}, "450 4.7.1 later"},
		{"check that refuses with a 250", func(b *bench) {
			b.Checks = []Ref[Check]{check("odd", func(at Stage, _ *Transaction) (Verdict, error) {
				if at == AtContent {
					return Verdict{Refuse: NewReply(250, 0, 0, "ok")}, nil
				}
				return Verdict{}, nil
			})}
		}, "451 4.3.0"},
		{"rewrite", func(b *bench) {
			b.Rewrites = []Ref[Modifier]{modifier(KindRewrite, "r", func(*Transaction) error { return errLocal })}
		}, "451 4.3.0"},
		{"rewrite with a typed nil", func(b *bench) {
			b.Rewrites = []Ref[Modifier]{modifier(KindRewrite, "r", func(*Transaction) error { var r *Reply; return r })}
		}, "451 4.3.0"},
		{"signer without a key", func(b *bench) {
			b.Signers = []Ref[Modifier]{modifier(KindSigner, "s", func(*Transaction) error { return errLocal })}
		}, "451 4.3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, &Pipeline{})
			c.setup(b)
			err := b.send(user(), "a@example.org", plain, "u@x.example")
			wantReply(t, err, c.want)
			if err != nil && strings.Contains(err.(*Reply).String(), "/data") {
				t.Errorf("%v tells of our disk", err)
			}
			if len(b.got) != 0 || b.open != 0 || len(b.events) != 1 || b.events[0].Kind != EventRefused {
				t.Errorf("%d stored, %d open drafts, events %s", len(b.got), b.open, b.kinds())
			}
		})
	}
}

func onlyAt(at, when Stage, err error) error {
	if at == when {
		return err
	}
	return nil
}

// TestPipelineBrokenContent is P2: what did not arrive whole is not stored.
func TestPipelineBrokenContent(t *testing.T) {
	for n := range 2 * len(plain) {
		in := plain[:n%len(plain)]
		if n >= len(plain) { // the first line is no field, and the body begins at once
			in = " " + in
		}
		b := open(t, &Pipeline{})
		tx, err := b.Mail(context.Background(), user(), Envelope{From: box(t, "a@example.org")})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Rcpt(context.Background(), tx, Recipient{Mailbox: box(t, "u@x.example")}); err != nil {
			t.Fatal(err)
		}
		_, err = b.Data(context.Background(), tx, &onceBroken{Reader: strings.NewReader(in), err: errLocal})
		wantReply(t, err, "451 4.3.0")
		if !errors.Is(err, errLocal) || len(b.got) != 0 || b.open != 0 {
			t.Errorf("after %q: %v, %d stored, %d open", in, err, len(b.got), b.open)
		}
	}
}

// TestPipelineR14 is R14: a module that panics costs one reply, and the next
// message goes through.
func TestPipelineR14(t *testing.T) {
	for name, setup := range map[string]func(p *Pipeline, boom func()){
		"check at connect": func(p *Pipeline, boom func()) { p.Checks = []Ref[Check]{panicky(AtConnect, boom)} },
		"check at sender":  func(p *Pipeline, boom func()) { p.Checks = []Ref[Check]{panicky(AtSender, boom)} },
		"check at rcpt":    func(p *Pipeline, boom func()) { p.Checks = []Ref[Check]{panicky(AtRecipient, boom)} },
		"check at content": func(p *Pipeline, boom func()) { p.Checks = []Ref[Check]{panicky(AtContent, boom)} },
		"rewrite": func(p *Pipeline, boom func()) {
			p.Rewrites = []Ref[Modifier]{modifier(KindRewrite, "r", func(*Transaction) error { boom(); return nil })}
		},
		"signer": func(p *Pipeline, boom func()) {
			p.Signers = []Ref[Modifier]{modifier(KindSigner, "s", func(tx *Transaction) error { boom(); tx.SignedBy = []string{"example.org"}; return nil })}
		},
		"route": func(p *Pipeline, boom func()) {
			p.Routes = []Route{{When: when(func(*Facts) (bool, error) { boom(); return false, nil }), Relay: relay("other")}}
		},
		"next hop": func(p *Pipeline, boom func()) {
			p.Relay = RefTo[Relay](Addr{KindRelay, "out"}, &fake{nextHop: func(to Mailbox) string { boom(); return to.Domain }})
		},
	} {
		t.Run(name, func(t *testing.T) {
			once := true
			p := new(Pipeline)
			setup(p, func() {
				if once {
					once = false
					panic("a bug")
				}
			})
			b := open(t, p)
			session := user()
			err := b.Connect(context.Background(), session)
			if err == nil {
				err = b.send(session, "a@example.org", plain, "u@x.example")
			}
			if r := ReplyTo(err); r == nil || r.Code != 451 || !strings.Contains(r.Error(), "a bug") || strings.Contains(r.String(), "bug") {
				t.Errorf("got %v, want a 451 that tells the log, and only the log, of the bug", err)
			}
			if err := b.send(session, "a@example.org", plain, "u@x.example"); err != nil || len(b.got) != 1 || b.open != 0 {
				t.Errorf("the next message: %v; %d stored, %d open", err, len(b.got), b.open)
			}
		})
	}
}

func panicky(when Stage, boom func()) Ref[Check] {
	return check("panicky", func(at Stage, _ *Transaction) (Verdict, error) {
		if at == when {
			boom()
		}
		return Verdict{}, nil
	})
}

// TestPipelineClaimPanics is R14 for the relay rule: a panic opens nothing.
func TestPipelineClaimPanics(t *testing.T) {
	bad := &claimer{claims: func(Mailbox) bool { panic("a bug") }}
	bad.modify = func(*Transaction) error { return nil }
	b := open(t, &Pipeline{Rewrites: []Ref[Modifier]{RefTo[Modifier](Addr{KindRewrite, "bad"}, bad), ours("x.example")}})
	for _, to := range []string{"u@x.example", "u@th.example"} {
		wantReply(t, b.send(stranger(), "a@th.example", plain, to), "451 4.3.0")
	}
}

func TestPipelineAuthenticate(t *testing.T) {
	knows := func(name string) func(string, string) (Identity, error) {
		return func(user, password string) (Identity, error) {
			if user == name && password == "right" {
				return Identity{User: user}, nil
			}
			return Identity{}, fmt.Errorf("%s: %w", user, ErrCredentials)
		}
	}
	down := func(string, string) (Identity, error) { return Identity{}, errLocal }
	bug := func(string, string) (Identity, error) { panic("a bug") }
	nobody := func(string, string) (Identity, error) { return Identity{}, nil }
	reply := func(string, string) (Identity, error) { return Identity{}, NewReply(550, 7, 1, "told outright") }
	for _, c := range []struct {
		name  string
		auth  []func(string, string) (Identity, error)
		user  string
		reply string // "" is success
		by    string
	}{
		{"first", []func(string, string) (Identity, error){knows("a"), knows("b")}, "a", "", "auth.0"},
		{"second", []func(string, string) (Identity, error){knows("a"), knows("b")}, "b", "", "auth.1"},
		{"neither", []func(string, string) (Identity, error){knows("a"), knows("b")}, "c", "535 5.7.8", ""},
		{"none at all", nil, "a", "535 5.7.8", ""},
		{"first is down, second knows", []func(string, string) (Identity, error){down, knows("b")}, "b", "", "auth.1"},
		{"first is down, second does not know", []func(string, string) (Identity, error){down, knows("b")}, "c", "454 4.7.0", ""},
		{"second is down", []func(string, string) (Identity, error){knows("b"), down}, "c", "454 4.7.0", ""},
		{"panic", []func(string, string) (Identity, error){bug}, "c", "454 4.7.0", ""},
		{"nobody", []func(string, string) (Identity, error){nobody}, "c", "454 4.7.0", ""},
		{"reply of its own", []func(string, string) (Identity, error){reply}, "c", "454 4.7.0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(Pipeline)
			for i, f := range c.auth {
				p.Auth = append(p.Auth, authenticator(fmt.Sprint(i), f))
			}
			b := open(t, p)
			id, err := b.Authenticate(context.Background(), stranger(), c.user, NewSecret("right"))
			if c.reply != "" {
				wantReply(t, err, c.reply)
				if id != (Identity{}) || len(b.events) != 1 || b.events[0].Kind != EventAuthFailed || b.events[0].User != c.user {
					t.Errorf("%+v, events %+v", id, b.events)
				}
				return
			}
			if err != nil || id.User != c.user || id.By.String() != c.by || len(b.events) != 0 {
				t.Errorf("%+v, %v, events %s", id, err, b.kinds())
			}
		})
	}
}

// TestPipelineOrder: the order of the lists is the order of execution, the
// first objection ends it, and it is told once.
func TestPipelineOrder(t *testing.T) {
	var order []string
	say := func(name string) func(Stage, *Transaction) (Verdict, error) {
		return func(at Stage, tx *Transaction) (Verdict, error) {
			order = append(order, fmt.Sprint(name, at))
			if to := tx.Envelope.Recipients; at == AtRecipient && to[len(to)-1].Mailbox.Local == "no" {
				return Verdict{Refuse: NewReply(550, 1, 1, "No such user")}, nil
			}
			return Verdict{}, nil
		}
	}
	mod := func(kind Kind, name string) Ref[Modifier] {
		return modifier(kind, name, func(tx *Transaction) error {
			order = append(order, name)
			tx.SignedBy = append(tx.SignedBy, name)
			return nil
		})
	}
	b := open(t, &Pipeline{
		Checks:   []Ref[Check]{check("a", say("a")), check("b", say("b"))},
		Rewrites: []Ref[Modifier]{mod(KindRewrite, "r2"), mod(KindRewrite, "r1")},
		Signers:  []Ref[Modifier]{mod(KindSigner, "s2"), mod(KindSigner, "s1")},
	})
	ctx := context.Background()
	s := user()
	if err := b.Connect(ctx, s); err != nil {
		t.Fatal(err)
	}
	tx, err := b.Mail(ctx, s, Envelope{From: box(t, "a@example.org")})
	if err != nil {
		t.Fatal(err)
	}
	wantReply(t, b.Rcpt(ctx, tx, Recipient{Mailbox: box(t, "no@x.example")}), "550 5.1.1 No such user")
	if len(tx.Envelope.Recipients) != 0 {
		t.Error("a refused recipient stays in the envelope")
	}
	if err := b.Rcpt(ctx, tx, Recipient{Mailbox: box(t, "yes@x.example")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Data(ctx, tx, strings.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(order, " "), "a1 b1 a2 b2 a4 a4 b4 a8 b8 r2 r1 s2 s1"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	if got := b.kinds(); got != "refused:5.1.1 accepted:2.0.0" {
		t.Errorf("events: %s", got)
	}
}

func TestPipelineRefusesConnection(t *testing.T) {
	b := open(t, &Pipeline{Checks: []Ref[Check]{check("dnsbl", func(Stage, *Transaction) (Verdict, error) {
		return Verdict{Refuse: NewReply(554, 7, 1, "Listed")}, nil
	})}})
	wantReply(t, b.Connect(context.Background(), stranger()), "554 5.7.1 Listed")
	if len(b.events) != 1 || b.events[0].Client != "192.0.2.1" || b.events[0].Kind != EventRefused {
		t.Errorf("events: %+v", b.events)
	}
}

// TestPipelineUnsigned is P13: a pipeline with signers sends nothing unsigned
// unless the file says so.
func TestPipelineUnsigned(t *testing.T) {
	for _, c := range []struct{ unsigned, domain, want string }{
		{"", "", "451 4.7.20"}, {UnsignedDefer, "", "451 4.7.20"}, {UnsignedReject, "", "550 5.7.20"}, {UnsignedAllow, "", ""},
		{"", "example.org", ""}, {UnsignedReject, "example.org", ""},
	} {
		signer := modifier(KindSigner, "s", func(tx *Transaction) error {
			if c.domain != "" {
				tx.SignedBy = append(tx.SignedBy, c.domain)
			}
			return nil
		})
		b := open(t, &Pipeline{Unsigned: c.unsigned, Signers: []Ref[Modifier]{signer}})
		err := b.send(user(), "a@example.org", plain, "u@x.example")
		if c.want != "" {
			wantReply(t, err, c.want)
			continue
		}
		if err != nil || strings.Join(b.got[0].Origin.SignedBy, "") != c.domain || strings.Join(b.events[0].SignedBy, "") != c.domain {
			t.Errorf("unsigned %q, signer for %q: %v", c.unsigned, c.domain, err)
		}
	}
}

func TestPipelineReport(t *testing.T) {
	signer := modifier(KindSigner, "s", func(tx *Transaction) error {
		if from, err := tx.Message.Header.From(); err == nil && from[0].Domain == "example.org" {
			tx.SignedBy = []string{"example.org"}
			tx.Message.Header.Prepend(NewField("DKIM-Signature", "x"))
		}
		return nil
	})
	b := open(t, &Pipeline{Signers: []Ref[Modifier]{signer}, Unsigned: UnsignedReject})
	env := Envelope{Recipients: []Recipient{{Mailbox: box(t, "a@example.net")}}}
	for domain, signed := range map[string]bool{"example.org": true, "unsigned.example": false} {
		h, err := ParseHeader([]byte("From: MAILER-DAEMON@" + domain + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := b.Report(context.Background(), env, h, []byte("\r\nbody"))
		if err != nil {
			t.Fatal(err)
		}
		if !a.Envelope.From.IsNull() || a.Origin.Pipeline != "test" || a.Origin.Listener != "" || (len(a.Origin.SignedBy) == 1) != signed ||
			a.Header.Count("DKIM-Signature") != len(a.Origin.SignedBy) || h.Count("DKIM-Signature") != 0 || a.Deliveries[0].Destination != "out/example.net" {
			t.Errorf("%+v", a)
		}
		if err := b.Commit(context.Background(), a); err != nil || b.open != 0 || !strings.HasSuffix(b.bytes[len(b.bytes)-1], "\r\n\r\nbody") {
			t.Errorf("%v, %d open, %q", err, b.open, b.bytes)
		}
	}
	b.writeErr = errLocal
	if _, err := b.Report(context.Background(), env, Header{}, nil); !errors.Is(err, errLocal) || b.open != 0 {
		t.Errorf("write fails: %v, %d open", err, b.open)
	}
	if got := b.kinds(); got != "" {
		t.Errorf("the engine tells of reports, not the pipeline: %s", got)
	}
}
