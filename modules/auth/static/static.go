// Package static is the authenticator auth "static": users who stand in the
// configuration file, each with a password from the environment or a file, or
// with a hash of it.
//
//	auth "static" "apps" {
//	  user "app"    { password = env("APP_PASSWORD") }
//	  user "backup" { password_hash = "$argon2id$v=19$m=19456,t=2,p=1$…" }
//	}
//
// "waxwing hash-password" makes the hashes. A user logs in as "app" or as
// "app@" and the host name of the server. See package passwd for the rules
// and package password for the hashes.
package static

import (
	"context"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/password"
	"github.com/waxwing-mail/waxwing/modules/internal/passwd"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindAuth,
		Name:    "static",
		Summary: "users and passwords in the configuration file",
		Example: `auth "static" "apps" {
  user "app" {
    password_hash = "$argon2id$v=19$m=19456,t=2,p=1$frZS0OpuamlvpaugVgcFfg$zTCKN5d+saxPJ7jlq7tBCT9rbkoddycMw/hfXgaEIys"
  }
}
`,
		New: func() appliance.Module { return new(Static) },
	})
}

// Static is the authenticator.
type Static struct {
	// Who can log in: a block for each user, at least one. The label is the
	// name to log in with.
	Users []User `hcl:"user,block"`

	addr  appliance.Addr
	table *passwd.Table
}

// User is a user block. Exactly one of its attributes is set.
type User struct {
	// The name to log in with, also accepted with "@" and the host name of the
	// server behind it.
	Name string `hcl:"name,label"`
	// The password, from the environment or a file: env("APP_PASSWORD"),
	// file("/run/secrets/app").
	Password appliance.Secret `hcl:"password,optional"`
	// A hash of the password, as "waxwing hash-password" or "htpasswd -B" makes
	// it: argon2id or bcrypt. A password that was right is not hashed again
	// within the next five minutes.
	PasswordHash appliance.Secret `hcl:"password_hash,optional"`
}

var (
	_ appliance.Forgetter  = (*Static)(nil)
	_ appliance.UserKnower = (*Static)(nil)
	_ appliance.Validator  = (*Static)(nil)
)

// Validate implements appliance.Validator.
func (s *Static) Validate() error {
	_, err := s.entries()
	return err
}

// Provision implements appliance.Module.
func (s *Static) Provision(ctx *appliance.Context) error {
	entries, err := s.entries()
	if err != nil {
		return err
	}
	s.addr, s.table = ctx.Addr, passwd.NewTable(ctx.Hostname, entries)
	return nil
}

// Authenticate implements appliance.Authenticator.
func (s *Static) Authenticate(ctx context.Context, _ *appliance.Session, user string, pw appliance.Secret) (appliance.Identity, error) {
	name, err := s.table.Login(ctx, user, pw)
	if err != nil {
		return appliance.Identity{}, err
	}
	return appliance.Identity{User: name, By: s.addr}, nil
}

// KnownUser implements appliance.UserKnower.
func (s *Static) KnownUser(user string) (string, bool) { return s.table.Known(user) }

// Forget implements appliance.Forgetter.
func (s *Static) Forget() { s.table.Forget() }

func (s *Static) entries() ([]passwd.Entry, error) {
	if len(s.Users) == 0 {
		return nil, blame(`is missing: nobody could log in; write user "app" { password = env("APP_PASSWORD") }`)
	}
	entries := make([]passwd.Entry, 0, len(s.Users))
	seen := make(map[string]bool, len(s.Users))
	for _, u := range s.Users {
		if err := passwd.CheckName(u.Name); err != nil {
			return nil, blame("%w", err)
		}
		if seen[u.Name] {
			return nil, blame("user %q is declared twice; give each user one block", u.Name)
		}
		seen[u.Name] = true
		v, err := u.verifier()
		if err != nil {
			return nil, err
		}
		entries = append(entries, passwd.Entry{Name: u.Name, Verifier: v})
	}
	return entries, nil
}

func (u *User) verifier() (*password.Verifier, error) {
	switch {
	case u.Password.IsSet() == u.PasswordHash.IsSet():
		return nil, blame("user %q needs either password or password_hash, and not both", u.Name)
	case u.PasswordHash.IsSet():
		v, err := password.Parse(u.PasswordHash.Reveal())
		if err != nil {
			return nil, blame("password_hash of user %q %w", u.Name, err)
		}
		return v, nil
	case u.Password.Reveal() == "":
		return nil, blame("password of user %q is empty; write a long one, or set the variable or fill the file that it comes from", u.Name)
	case len(u.Password.Reveal()) > password.MaxLength:
		return nil, blame("password of user %q is longer than %d octets", u.Name, password.MaxLength)
	}
	return password.Plain(u.Password.Reveal()), nil
}

func blame(format string, args ...any) error {
	return &appliance.AttrError{Attr: "user", Msg: fmt.Errorf(format, args...).Error()}
}
