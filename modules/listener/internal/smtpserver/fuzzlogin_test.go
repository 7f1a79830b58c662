package smtpserver

import (
	"context"
	"encoding/base64"
	"testing"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// asked is an authenticator that looks at what it is asked.
type asked struct{ t *testing.T }

func (asked) Provision(*appliance.Context) error { return nil }

func (a asked) Authenticate(_ context.Context, _ *appliance.Session, user string, password appliance.Secret) (appliance.Identity, error) {
	if user == "" || len(user) > maxUser || !printableUTF8(user) {
		a.t.Errorf("asked for user %q", user)
	}
	if p := password.Reveal(); p == "" || !utf8.ValidString(p) {
		a.t.Errorf("asked for password %q", p)
	}
	return appliance.Identity{}, appliance.ErrBadCredentials
}

// FuzzLogin: whatever a client sends for AUTH, the exchange ends after at most
// three responses, and no authenticator is asked what it cannot be prepared
// for: for nobody, with an empty password, or with octets that are no text.
func FuzzLogin(f *testing.F) {
	for _, s := range [][3]string{
		{"PLAIN", "\x00user\x00password", ""}, {"PLAIN", "other\x00user\x00password", ""}, {"PLAIN", "\x00user\x00", ""},
		{"PLAIN", "\x00\x00\x00\x00", ""}, {"PLAIN", "\x00us\r\ner\x00\xff", ""}, {"LOGIN", "user", "password"}, {"LOGIN", "", ""},
		{"LOGIN", "user\x1b[31m", "pass\x00word"}, {"EXTERNAL", "user", ""}, {"EXTERNAL", "\xff", ""},
	} {
		f.Add(s[0], base64.StdEncoding.EncodeToString([]byte(s[1])), base64.StdEncoding.EncodeToString([]byte(s[2])), true)
		f.Add(s[0], base64.StdEncoding.EncodeToString([]byte(s[1])), base64.StdEncoding.EncodeToString([]byte(s[2])), false)
	}
	f.Add("PLAIN", "=", "*", true)
	f.Fuzz(func(t *testing.T, name, first, second string, initial bool) {
		start := mechanisms[name]
		if start == nil {
			t.Skip("is not offered")
		}
		p := &appliance.Pipeline{Auth: []appliance.Ref[appliance.Authenticator]{
			appliance.RefTo[appliance.Authenticator](appliance.Addr{Kind: appliance.KindAuth, Name: "asked"}, asked{t}),
		}}
		p.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "test"}, appliance.House{})
		s := &session{info: new(appliance.Session)}
		mech := start(&login{s: s, ctx: t.Context(), p: p})
		responses := []string{first, second, second}
		var response []byte
		var err error
		if initial {
			response, err = decodeResponse([]byte(first))
			responses = responses[1:]
		}
		for err == nil {
			var done bool
			if _, done, err = mech.Next(response); err != nil {
				break
			}
			if done || len(responses) == 0 {
				t.Fatalf("%s with %q and %q: done is %t, and nobody refused", name, first, second, done)
			}
			response, err = decodeResponse([]byte(responses[0]))
			responses = responses[1:]
		}
	})
}
