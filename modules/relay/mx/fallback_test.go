package mx

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

var provider = appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "provider"}, New())

// TestFallbackValidate: what a file can say wrong, and which line is shown.
func TestFallbackValidate(t *testing.T) {
	for _, tc := range []struct {
		f    Fallback
		attr string // "" is a good one
		word string
	}{
		{Fallback{After: 3}, "", ""},
		{Fallback{On: []string{"reputation", "policy", "tls"}}, "", ""},
		{Fallback{}, "fallback", "never used"},
		{Fallback{After: -1}, "fallback.after", "between"},
		{Fallback{After: maxAfter + 1}, "fallback.after", "between"},
		{Fallback{On: []string{"blocklist"}}, "fallback.on", "reputation, spam"},
		{Fallback{On: []string{"loop"}}, "fallback.on", "do better"},
		{Fallback{On: []string{"spam", "spam"}}, "fallback.on", "twice"},
	} {
		m := New()
		m.Fallback = &tc.f
		err := m.Validate()
		a, ok := errors.AsType[*appliance.AttrError](err)
		switch {
		case tc.attr == "" && err != nil:
			t.Errorf("%+v: %v", tc.f, err)
		case tc.attr != "" && (!ok || a.Attr != tc.attr || !strings.Contains(a.Msg, tc.word)):
			t.Errorf("%+v: %v, want %s and %q", tc.f, err, tc.attr, tc.word)
		}
	}
}

// TestInstead: which results go to the fallback.
func TestInstead(t *testing.T) {
	for _, tc := range []struct {
		name    string
		f       *Fallback
		attempt int
		code    int
		class   appliance.Class
		want    bool
	}{
		{"no fallback", nil, 9, 450, appliance.ClassReputation, false},
		{"not yet", &Fallback{After: 3}, 2, 450, appliance.ClassGreylist, false},
		{"the third attempt", &Fallback{After: 3}, 3, 450, appliance.ClassGreylist, true},
		{"a later one", &Fallback{After: 3}, 4, 451, appliance.ClassConnection, true},
		{"a refusal is an answer", &Fallback{After: 3}, 4, 550, appliance.ClassRecipient, false},
		{"a refusal for a reason", &Fallback{On: []string{"reputation"}}, 1, 554, appliance.ClassReputation, true},
		{"deferred for a reason", &Fallback{On: []string{"reputation"}}, 1, 421, appliance.ClassReputation, true},
		{"another reason", &Fallback{On: []string{"reputation"}}, 50, 421, appliance.ClassRate, false},
		{"P18 TLS by number", &Fallback{After: 3}, 9, 451, appliance.ClassTLS, false},
		{"P18 TLS by name", &Fallback{On: []string{"tls"}}, 1, 451, appliance.ClassTLS, true},
		{"P8 our own fault", &Fallback{After: 3}, 9, 451, appliance.ClassLocal, false},
		{"N15 a loop", &Fallback{After: 3}, 9, 451, appliance.ClassLoop, false},
		{"delivered", &Fallback{After: 1}, 1, 250, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := New()
			if tc.f != nil {
				tc.f.Relay = provider
			}
			m.Fallback = tc.f
			to, got := m.Instead(tc.attempt, &appliance.Result{Reply: appliance.Reply{Code: tc.code}, Class: tc.class})
			if got != tc.want || got && to.Addr() != provider.Addr() {
				t.Errorf("%v to %q, want %v", got, to, tc.want)
			}
		})
	}
}

// TestExplainFallback: when it is used, in words.
func TestExplainFallback(t *testing.T) {
	m := provision(t, zone{}, func(m *MX) {
		m.Fallback = &Fallback{Relay: provider, After: 3, On: []string{"reputation", "policy"}}
	})
	want := appliance.Answer{Topic: "fallback", Attr: "fallback",
		Text: "relay.provider, when an answer is about reputation, policy, or when attempt 3, or a later one, fails temporarily"}
	if all := m.Explain(t.Context(), appliance.Question{To: box("u@a.test")}); !slices.Contains(all, want) {
		t.Errorf("%+v", all)
	}
}
