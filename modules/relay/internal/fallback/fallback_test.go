package fallback

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

var provider = appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "provider"}, nil)

// TestValidate: what a file can say wrong, and which line is shown.
func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		f    Settings
		attr string // "" is a good one
		word string
	}{
		{Settings{After: 3}, "", ""},
		{Settings{On: []string{"reputation", "policy", "tls"}}, "", ""},
		{Settings{}, "fallback", "never used"},
		{Settings{After: -1}, "fallback.after", "between"},
		{Settings{After: maxAfter + 1}, "fallback.after", "between"},
		{Settings{On: []string{"blocklist"}}, "fallback.on", "reputation, spam"},
		{Settings{On: []string{"loop"}}, "fallback.on", "do better"},
		{Settings{On: []string{"spam", "spam"}}, "fallback.on", "twice"},
	} {
		err := tc.f.Validate()
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
		f       *Settings
		attempt int
		code    int
		class   appliance.Class
		want    bool
	}{
		{"no fallback", nil, 9, 450, appliance.ClassReputation, false},
		{"not yet", &Settings{After: 3}, 2, 450, appliance.ClassGreylist, false},
		{"the third attempt", &Settings{After: 3}, 3, 450, appliance.ClassGreylist, true},
		{"a later one", &Settings{After: 3}, 4, 451, appliance.ClassConnection, true},
		{"a refusal is an answer", &Settings{After: 3}, 4, 550, appliance.ClassRecipient, false},
		{"a refusal for a reason", &Settings{On: []string{"reputation"}}, 1, 554, appliance.ClassReputation, true},
		{"deferred for a reason", &Settings{On: []string{"reputation"}}, 1, 421, appliance.ClassReputation, true},
		{"another reason", &Settings{On: []string{"reputation"}}, 50, 421, appliance.ClassRate, false},
		{"P18 TLS by number", &Settings{After: 3}, 9, 451, appliance.ClassTLS, false},
		{"P18 TLS by name", &Settings{On: []string{"tls"}}, 1, 451, appliance.ClassTLS, true},
		{"P8 our own fault", &Settings{After: 3}, 9, 451, appliance.ClassLocal, false},
		{"N15 a loop", &Settings{After: 3}, 9, 451, appliance.ClassLoop, false},
		{"delivered", &Settings{After: 1}, 1, 250, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.f != nil {
				tc.f.Relay = provider
			}
			to, got := tc.f.Instead(tc.attempt, &appliance.Result{Reply: appliance.Reply{Code: tc.code}, Class: tc.class})
			if got != tc.want || got && to.Addr() != provider.Addr() {
				t.Errorf("%v to %q, want %v", got, to, tc.want)
			}
		})
	}
}

// TestExplain: when it is used, in words.
func TestExplain(t *testing.T) {
	f := &Settings{Relay: provider, After: 3, On: []string{"reputation", "policy"}}
	want := []appliance.Answer{{Topic: "fallback", Attr: "fallback",
		Text: "relay.provider, when an answer is about reputation, policy, or when attempt 3, or a later one, fails temporarily"}}
	if all := f.Explain(); !slices.Equal(all, want) {
		t.Errorf("%+v", all)
	}
}

// TestNone: a relay without the block.
func TestNone(t *testing.T) {
	var f *Settings
	if err := f.Validate(); err != nil || len(f.Explain()) != 0 {
		t.Errorf("%v, %v", err, f.Explain())
	}
}
