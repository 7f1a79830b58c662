package appliance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func node(kind Kind, name, typ, fingerprint string, deps ...Addr) *Node {
	return &Node{Addr: Addr{kind, name}, Type: typ, Fingerprint: fingerprint, Deps: deps}
}

// TestGraphDiff: the plan of a reload, with the reasons.
func TestGraphDiff(t *testing.T) {
	out, in, old := Addr{KindRelay, "out"}, Addr{KindListener, "in"}, Addr{KindAuth, "old"}
	before := &Graph{Nodes: []*Node{
		node(KindRelay, "out", "mx", "1"), node(KindListener, "in", "smtp", "1"), node(KindAuth, "old", "static", "1"),
		node(KindCheck, "kept", "spf", "1"), node(KindPipeline, "p", "", "1", out, in), node(KindPipeline, "q", "", "1", out, old),
	}}
	after := &Graph{Nodes: []*Node{
		node(KindRelay, "out", "smarthost", "2"), node(KindListener, "in", "smtp", "2"), node(KindCheck, "kept", "spf", "1"),
		node(KindAuth, "new", "ldap", "1"), node(KindPipeline, "p", "", "2", out, in), node(KindPipeline, "q", "", "2", out),
	}}
	var got []string
	for _, s := range before.Diff(after) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", s.Action, s.Addr, s.Type, s.Reason)))
	}
	want := []string{
		`replace relay.out smarthost type was "mx"`,
		"replace listener.in smtp its block, or a setting it depends on, changes",
		"keep check.kept spf",
		"start auth.new ldap",
		"replace pipeline.p  relay.out changes",
		"replace pipeline.q  its block, or a setting it depends on, changes",
		"stop auth.old static",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, s := range before.Diff(before) {
		if s.Action != ActionKeep || s.Reason != "" {
			t.Errorf("nothing changed, and yet %+v", s)
		}
	}
}

func TestGraph(t *testing.T) {
	g := &Graph{Nodes: []*Node{node(KindPipeline, "b", "", ""), node(KindRelay, "x", "mx", ""), node(KindPipeline, "a", "", "")}}
	if p := g.Pipelines(); len(p) != 2 || p[0].Addr.Name != "b" || p[1].Addr.Name != "a" {
		t.Errorf("pipelines: %v", p)
	}
	if g.Node(Addr{KindRelay, "x"}) != g.Nodes[1] || g.Node(Addr{KindRelay, "a"}) != nil {
		t.Error("Node finds the wrong one")
	}
	blame := &AttrError{Attr: "key", Msg: "cannot be read", Err: errLocal}
	err := error(&InstanceError{Addr{KindSigner, "s"}, blame})
	if got := err.Error(); got != "signer.s: key: cannot be read: "+errLocal.Error() || !errors.Is(err, errLocal) {
		t.Error(got)
	}
}
