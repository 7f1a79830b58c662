package static

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/password"
)

var apps = appliance.Addr{Kind: appliance.KindAuth, Name: "apps"}

func clear(name, pw string) User { return User{Name: name, Password: appliance.NewSecret(pw)} }
func hashed(name, h string) User { return User{Name: name, PasswordHash: appliance.NewSecret(h)} }
func house() *appliance.Context {
	return &appliance.Context{Addr: apps, Log: zap.NewNop(), Hostname: "mail.example.com"}
}

func TestAuthenticate(t *testing.T) {
	h, err := password.Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	s := &Static{Users: []User{clear("app", "s3cret"), hashed("backup", h)}}
	if err := errors.Join(s.Validate(), s.Provision(house())); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, password, want string }{
		{"app", "s3cret", "app"},
		{"app@mail.example.com", "s3cret", "app"},
		{"app", "correct horse", ""},
		{"app", "", ""},
		{"backup", "correct horse", "backup"},
		{"backup", h, ""}, // the hash is no password
		{"nobody", "s3cret", ""},
	} {
		id, err := s.Authenticate(t.Context(), &appliance.Session{}, c.user, appliance.NewSecret(c.password))
		if c.want == "" {
			if !errors.Is(err, appliance.ErrCredentials) || id != (appliance.Identity{}) {
				t.Errorf("%s/%s: %v, %v", c.user, c.password, id, err)
			}
		} else if err != nil || id != (appliance.Identity{User: c.want, By: apps}) {
			t.Errorf("%s/%s: %v, %v", c.user, c.password, id, err)
		}
	}
}

// TestForget: a password that was right is right at once, for a client that
// waits for nothing, until a reload.
func TestForget(t *testing.T) {
	h, err := password.Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	s := &Static{Users: []User{hashed("app", h)}}
	if err := s.Provision(house()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	login := func(ctx context.Context, want error) {
		t.Helper()
		_, err := s.Authenticate(ctx, &appliance.Session{}, "app", appliance.NewSecret("correct horse"))
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	login(t.Context(), nil)
	login(gone, nil)
	s.Forget()
	login(gone, context.Canceled)
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		users []User
		want  string
	}{
		{"none", nil, "nobody could log in"},
		{"neither", []User{{Name: "app"}}, "either password or password_hash"},
		{"both", []User{{Name: "app", Password: appliance.NewSecret("x"), PasswordHash: appliance.NewSecret("y")}}, "not both"},
		{"X3 empty variable", []User{clear("app", "")}, "is empty"},
		{"too long", []User{clear("app", strings.Repeat("x", 1025))}, "longer"},
		{"twice", []User{clear("app", "marker"), clear("app", "b")}, "declared twice"},
		{"X4 name", []User{clear("a b", "marker")}, "spaces"},
		{"plain text as hash", []User{hashed("app", "marker")}, "waxwing hash-password"},
		{"md5", []User{hashed("app", "$apr1$marker")}, "htpasswd -B"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Static{Users: c.users}).Validate()
			var attr *appliance.AttrError
			if !errors.As(err, &attr) || attr.Attr != "user" || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "marker") {
				t.Errorf("P19: %v", err)
			}
		})
	}
}

// TestExample: the hash of the registered example is that of the password
// the manual names.
func TestExample(t *testing.T) {
	r, _ := appliance.Builtin.Get(appliance.KindAuth, "static")
	_, h, _ := strings.Cut(r.Example, `password_hash = "`)
	h, _, _ = strings.Cut(h, `"`)
	v, err := password.Parse(h)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := v.Verify(t.Context(), "correct horse battery staple"); !ok || err != nil {
		t.Errorf("Verify: %v, %v", ok, err)
	}
}
