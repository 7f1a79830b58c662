package appliance

import (
	"fmt"
	"testing"
	"time"
)

// onDomain is a Condition that the domain of the recipient decides.
type onDomain struct{ when }

func (c onDomain) MatchDomain(domain string) (match, known bool) {
	match, err := c.Match(&Facts{Recipient: Mailbox{Local: "x", Domain: domain}})
	return match, err == nil
}

// TestWaysTo: all that mail for a domain can take, in the order of the file,
// and nothing that a route before it keeps it from.
func TestWaysTo(t *testing.T) {
	byDomain := func(d string) Condition { return onDomain{domainIs(d)} }
	smarthost := RefTo[Relay](Addr{KindRelay, "provider"}, &fake{nextHop: func(Mailbox) string { return "smtp.test:587" }})
	first := &Pipeline{
		Routes: []Route{
			{When: byDomain("invalid"), Reject: text(t, "550 5.1.2 No such domain")},
			{When: byDomain("corp.example"), Relay: relay("corp")},
			{When: subjectIs("news"), Relay: smarthost},
			{When: byDomain("big.example"), Relay: smarthost},
		},
		Relay: relay("out"),
	}
	second := &Pipeline{Relay: relay("out")}
	refuses := &Pipeline{Routes: []Route{{When: byDomain("invalid"), Reject: text(t, "550 5.1.2 No such domain")}}, Relay: relay("out")}
	graph := func(all ...*Pipeline) *Graph {
		g := new(Graph)
		for i, p := range all {
			g.Nodes = append(g.Nodes, &Node{Addr: Addr{KindPipeline, fmt.Sprint("p", i)}, Pipeline: p})
		}
		return g
	}
	for _, c := range []struct {
		g            *Graph
		domain, want string
	}{
		{graph(first), "corp.example", "[{pipeline.p0 corp/corp.example}]"},
		{graph(first), "a.example", "[{pipeline.p0 provider/smtp.test:587} {pipeline.p0 out/a.example}]"},
		{graph(first), "big.example", "[{pipeline.p0 provider/smtp.test:587}]"},
		{graph(first, second), "big.example", "[{pipeline.p0 provider/smtp.test:587} {pipeline.p1 out/big.example}]"},
		{graph(second, first), "a.example", "[{pipeline.p0 out/a.example} {pipeline.p1 provider/smtp.test:587}]"},
		{graph(first, refuses), "invalid", "[]"},
	} {
		if got := fmt.Sprint(c.g.WaysTo(c.domain)); got != c.want {
			t.Errorf("%s: %s, want %s", c.domain, got, c.want)
		}
	}
	if w := (Way{Destination: "out/A.example"}); !w.IsTo("a.example") || w.IsTo("b.example") {
		t.Error("whose destination it is")
	}
}

// TestSuspensionCheck: what a person writes moves no cursor of another.
func TestSuspensionCheck(t *testing.T) {
	for _, s := range []Suspension{{}, {Name: "a\x1b[2J"}, {Name: "a\u202e"}, {Name: "a", Reason: "b\nc"}, {Name: "a", Reason: "\xff"}} {
		if s.Check(time.Unix(0, 0)) == nil {
			t.Errorf("%+q passes", s)
		}
	}
	if err := (&Suspension{Name: "a", Reason: "Umzug – bis Montag"}).Check(time.Unix(0, 0)); err != nil {
		t.Error(err)
	}
}
