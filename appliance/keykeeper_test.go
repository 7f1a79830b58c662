package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"testing"
	"time"
)

// signs is a KeyKeeper of some domains, and what it was asked for.
type signs struct {
	part
	keys  []SigningKey
	fails error
	asked []string
}

func (s *signs) SigningKeys() []SigningKey { return s.keys }

func (s *signs) RotateKeys(_ context.Context, domain string, when Rotation) error {
	return s.ask(fmt.Sprint("rotate ", domain, " ", when), domain)
}

func (s *signs) RetireKey(_ context.Context, domain, selector string) error {
	return s.ask("retire "+domain+" "+selector, domain)
}

func (s *signs) ask(what, domain string) error {
	s.asked = append(s.asked, what)
	for _, k := range s.keys {
		switch {
		case k.Domain != domain:
		case k.Since.IsZero():
			return fmt.Errorf("files: %w", errors.ErrUnsupported)
		default:
			return s.fails
		}
	}
	return fmt.Errorf("does not sign: %w", fs.ErrNotExist)
}

func signers() (a *Appliance, first, second *signs) {
	made := time.Unix(1, 0)
	first = &signs{keys: []SigningKey{{Domain: "a.example", Selector: "s", Since: made}, {Domain: "b.example", Selector: "f"}}}
	second = &signs{keys: []SigningKey{{Domain: "b.example", Selector: "f"}, {Domain: "xn--bcher-kva.example", Selector: "t", Since: made}}}
	return New(&Graph{Settings: DefaultSettings(), Nodes: []*Node{
		{Addr: Addr{KindSigner, "first"}, Module: first},
		{Addr: Addr{KindSigner, "other"}, Module: new(part)},
		{Addr: Addr{KindSigner, "second"}, Module: second},
	}}, Options{}), first, second
}

// inShort are keys as "signer.first a.example s".
func inShort(keys []KeptKey) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Block+" "+k.Domain+" "+k.Selector)
	}
	return strings.Join(all, ", ")
}

func TestRotateKeys(t *testing.T) {
	for _, c := range []struct {
		name    string
		domains []string
		want    string // keys
		err     string
		kind    error
	}{
		{"all that are made", nil, "signer.first a.example s, signer.second xn--bcher-kva.example t", "", nil},
		{"one", []string{"A.Example."}, "signer.first a.example s", "", nil},
		{"with an umlaut", []string{"bücher.example"}, "signer.second xn--bcher-kva.example t", "", nil},
		{"of files", []string{"b.example"}, "signer.first b.example f, signer.second b.example f", "signer.second: files", errors.ErrUnsupported},
		{"of nobody", []string{"c.example"}, "", "signer.first: does not sign", fs.ErrNotExist},
	} {
		a, first, _ := signers()
		keys, err := a.RotateKeys(t.Context(), c.domains, RotateNow)
		if got := inShort(keys); got != c.want || !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
		if len(first.asked) == 0 || !strings.HasSuffix(first.asked[0], " 1") {
			t.Errorf("%s: asked for %v", c.name, first.asked)
		}
	}
}

func TestRotateKeysFails(t *testing.T) {
	a, first, second := signers()
	first.fails = errors.New("disk")
	if _, err := a.RotateKeys(t.Context(), nil, RotateWhenShown); err == nil || !strings.Contains(err.Error(), "signer.first: disk") || len(second.asked) != 2 {
		t.Errorf("%v; the second was asked for %v", err, second.asked)
	}
	first.keys, second.keys = nil, nil
	if _, err := a.RotateKeys(t.Context(), nil, RotateWhenShown); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without keys: %v", err)
	}
	a = New(&Graph{Settings: DefaultSettings()}, Options{})
	if _, err := a.RotateKeys(t.Context(), []string{"a.example"}, RotateWhenShown); !errors.Is(err, fs.ErrNotExist) || err.Error() != `no signer has keys for "a.example"` {
		t.Errorf("without signers: %v", err)
	}
}

func TestRetireKey(t *testing.T) {
	a, first, _ := signers()
	keys, err := a.RetireKey(t.Context(), "A.example", "S")
	if err != nil || inShort(keys) != "signer.first a.example s" || first.asked[0] != "retire a.example S" {
		t.Errorf("%s, %v, %v", inShort(keys), err, first.asked)
	}
}

// queueOf is a store with some messages, by when they were accepted.
type queueOf struct {
	Store
	received []time.Time
	fails    error
}

func (q *queueOf) Query(_ context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if q.fails != nil {
			yield(Entry{}, q.fails)
			return
		}
		for _, at := range q.received {
			e := Entry{Received: at}
			if f.Match(&e, new(Delivery)) && !yield(e, nil) {
				return
			}
		}
	}
}

func TestQueued(t *testing.T) {
	store := new(queueOf)
	a := New(&Graph{Settings: DefaultSettings(), Nodes: []*Node{{Addr: Addr{KindStore, "main"}, Module: store}}}, Options{})
	now := time.Now()
	for _, c := range []struct {
		received []time.Time
		fails    error
		want     bool
	}{
		{nil, nil, false},
		{[]time.Time{now, now.Add(time.Hour)}, nil, false},
		{[]time.Time{now.Add(-time.Second), now}, nil, true},
		{nil, errors.New("disk"), false},
	} {
		store.received, store.fails = c.received, c.fails
		if got, err := a.queued(t.Context(), now); got != c.want || !errors.Is(err, c.fails) {
			t.Errorf("%v: %t, %v", c.received, got, err)
		}
	}
	if _, err := New(&Graph{Settings: DefaultSettings()}, Options{}).queued(t.Context(), now); err == nil {
		t.Error("no store and no error")
	}
}
