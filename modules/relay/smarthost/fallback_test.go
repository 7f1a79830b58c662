package smarthost

import (
	"slices"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/fallback"
)

// TestFallback: what a smarthost does not deliver, for a reason that the file
// names, goes to the other relay: whether it has refused the message, does not
// let us in, or is not there. The queue does what is done here by hand.
func TestFallback(t *testing.T) {
	const listed = "554 5.7.1 Your IP is on our block list"
	port, _ := provider(t, nil)
	reserve, _ := relay(t, port, nil)
	to := appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "reserve"}, reserve)
	for _, tc := range []struct {
		name    string
		answers map[string]string
		on      string
		want    bool
	}{
		{"the sender", map[string]string{"MAIL": listed}, "reputation", true},
		{"the recipient", map[string]string{"RCPT": listed}, "reputation", true},
		{"the content", map[string]string{".": listed}, "reputation", true},
		{"another reason", map[string]string{"RCPT": "550 5.1.1 No such user"}, "reputation", false},
		{"the password", map[string]string{"AUTH": "535 5.7.8 wrong"}, "login", true},
		{"the service", map[string]string{"MAIL": "451 4.3.0 not now"}, "trouble", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			port, _ := provider(t, tc.answers)
			s, _ := relay(t, port, func(s *Smarthost) {
				s.Fallback = &fallback.Settings{Relay: to, On: []string{tc.on}}
			})
			r := deliver(t, s)
			r.Class = appliance.ClassRules{}.Classify(&r)
			other, ok := s.Instead(1, &r)
			if ok != tc.want {
				t.Fatalf("%s, of class %s, goes to %v", &r.Reply, r.Class, other)
			}
			if !ok {
				return
			}
			if got := other.To().Deliver(t.Context(), envelope(), msg)[0]; !got.Reply.Positive() {
				t.Errorf("the other relay: %s", &got.Reply)
			}
		})
	}
	s, _ := relay(t, port, func(s *Smarthost) { s.Fallback = &fallback.Settings{Relay: to, After: 2} })
	want := appliance.Answer{Topic: "fallback", Attr: "fallback", Text: "relay.reserve, when attempt 2, or a later one, fails temporarily"}
	if all := s.Explain(t.Context(), appliance.Question{}); !slices.Contains(all, want) {
		t.Errorf("%+v", all)
	}
}
