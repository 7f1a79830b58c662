package appliance

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func signerFor(domain string) Ref[Modifier] {
	return modifier(KindSigner, domain, func(tx *Transaction) error {
		if from, err := tx.Message.Header.From(); err == nil && from[0].Domain == domain {
			tx.SignedBy = []string{domain}
		}
		return nil
	})
}

func postedBy(t *testing.T, domain string) (Envelope, Header) {
	t.Helper()
	h, err := ParseHeader([]byte("From: postmaster@" + domain + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return Envelope{Recipients: []Recipient{{Mailbox: box(t, "a@example.net")}}}, h
}

// TestPost: a message of our own is durable and signed, or it is not there.
func TestPost(t *testing.T) {
	b := open(t, &Pipeline{Signers: []Ref[Modifier]{signerFor("example.org")}, Unsigned: UnsignedAllow})
	env, h := postedBy(t, "example.org")
	id, err := b.Post(t.Context(), env, h, []byte("\r\nbody"))
	if err != nil || len(b.got) != 1 || b.got[0].ID != id || b.open != 0 || !strings.HasSuffix(b.bytes[0], "\r\n\r\nbody") {
		t.Fatalf("%s, %v, %+v", id, err, b.got)
	}
	if got := b.kinds(); got != "accepted:2.0.0" {
		t.Errorf("events %q", got)
	}
	env, h = postedBy(t, "unsigned.example")
	if _, err := b.Post(t.Context(), env, h, nil); !errors.Is(err, errUnsigned) || b.open != 0 || len(b.got) != 1 {
		t.Errorf("unsigned: %v, %d open, %d messages", err, b.open, len(b.got))
	}
	env, h = postedBy(t, "example.org")
	b.commitErr = errLocal
	if _, err := b.Post(t.Context(), env, h, nil); !errors.Is(err, errLocal) || b.open != 0 {
		t.Errorf("commit fails: %v, %d open", err, b.open)
	}
}

// TestPostRoad: the pipeline is the first one that signs; without one, and
// before the appliance runs, nothing is taken.
func TestPostRoad(t *testing.T) {
	bare := open(t, &Pipeline{})
	first, second := open(t, &Pipeline{Signers: []Ref[Modifier]{signerFor("one.test")}}), open(t, &Pipeline{Signers: []Ref[Modifier]{signerFor("two.test")}})
	g := &Graph{}
	for _, p := range []struct {
		name string
		*Pipeline
	}{{"bare", bare.Pipeline}, {"first", first.Pipeline}, {"second", second.Pipeline}} {
		g.Nodes = append(g.Nodes, &Node{Addr: Addr{KindPipeline, p.name}, Pipeline: p.Pipeline})
	}
	a := New(g, Options{Log: zap.NewNop()})
	c := a.context(g, &Node{Addr: Addr{KindRelay, "out"}})
	env, h := postedBy(t, "two.test")
	if _, err := c.Post(t.Context(), env, h, nil); !errors.Is(err, errNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	a.roads.Store(roadsOf(g))
	a.running.Store(true)
	if _, err := c.Post(t.Context(), env, h, nil); err != nil || len(first.got) != 0 || len(second.got) != 1 {
		t.Errorf("%v, %d and %d messages", err, len(first.got), len(second.got))
	}
	env, h = postedBy(t, "three.test")
	if _, err := c.Post(context.Background(), env, h, nil); !errors.Is(err, errUnsigned) {
		t.Errorf("nobody signs: %v", err)
	}
}
