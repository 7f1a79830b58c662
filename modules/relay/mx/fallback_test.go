package mx

import (
	"errors"
	"slices"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/fallback"
)

// TestFallback: the block is looked at, does what it says, and is explained.
func TestFallback(t *testing.T) {
	m := New()
	m.Fallback = &fallback.Settings{}
	if a, ok := errors.AsType[*appliance.AttrError](m.Validate()); !ok || a.Attr != "fallback" {
		t.Errorf("an empty block: %v", m.Validate())
	}
	provider := appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "provider"}, New())
	m = provision(t, zone{}, func(m *MX) { m.Fallback = &fallback.Settings{Relay: provider, After: 3} })
	r := &appliance.Result{Reply: appliance.Reply{Code: 450}, Class: appliance.ClassGreylist}
	if to, ok := m.Instead(3, r); !ok || to.Addr() != provider.Addr() {
		t.Errorf("the third attempt: %v, %v", to, ok)
	}
	if to, ok := m.Instead(2, r); ok {
		t.Errorf("the second attempt goes to %v", to)
	}
	want := appliance.Answer{Topic: "fallback", Attr: "fallback", Text: "relay.provider, when attempt 3, or a later one, fails temporarily"}
	if all := m.Explain(t.Context(), appliance.Question{To: box("u@a.test")}); !slices.Contains(all, want) {
		t.Errorf("%+v", all)
	}
}
