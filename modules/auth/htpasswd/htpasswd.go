// Package htpasswd is the authenticator auth "htpasswd": users in a file of
// the format that Apache's htpasswd tool keeps, one "name:hash" on each line.
//
//	auth "htpasswd" "staff" { file = "/etc/waxwing/users" }
//
// Hashes are bcrypt ("htpasswd -B /etc/waxwing/users bob") or argon2id
// ("waxwing hash-password"). Any other kind is an error that names the line.
//
// The file is read again within a second or two of a change. If the new
// content has a mistake, or the file is gone, the users read before stay and
// the log names the line; a file without users is no mistake: it locks
// everybody out. At the start a file that cannot be read or has a mistake is
// an error, and the server does not start.
package htpasswd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/password"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
	"github.com/waxwing-mail/waxwing/modules/internal/passwd"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindAuth,
		Name:    "htpasswd",
		Summary: "users and passwords in a file of Apache's htpasswd",
		Example: `auth "htpasswd" "staff" {
  file = "/etc/waxwing/users"
}
`,
		New: func() appliance.Module { return new(Htpasswd) },
	})
}

// maxFile bounds the file: some 100,000 users.
const maxFile = 16 << 20

// Htpasswd is the authenticator.
type Htpasswd struct {
	// The file of users, one "name:hash" on each line, with bcrypt or argon2id
	// hashes: "htpasswd -B /etc/waxwing/users bob" adds one. It is read again
	// when it changes; until then, a password that was right is not hashed again
	// within the next five minutes.
	File string `hcl:"file"`

	addr  appliance.Addr
	table *localfile.Watched[*passwd.Table]
}

var (
	_ appliance.Forgetter  = (*Htpasswd)(nil)
	_ appliance.UserKnower = (*Htpasswd)(nil)
	_ appliance.Validator  = (*Htpasswd)(nil)
)

// Validate implements appliance.Validator.
func (h *Htpasswd) Validate() error {
	if h.File == "" {
		return &appliance.AttrError{Attr: "file", Msg: `is empty; write the path of a file, such as "/etc/waxwing/users"`}
	}
	return nil
}

// Provision implements appliance.Module.
func (h *Htpasswd) Provision(ctx *appliance.Context) (err error) {
	h.addr = ctx.Addr
	load := func() (*passwd.Table, error) { return h.load(ctx.Log, ctx.Hostname) }
	if h.table, err = localfile.Watch(ctx.Log, load, h.File); err != nil {
		return &appliance.AttrError{Attr: "file", Msg: "cannot be used; " +
			`make it with "htpasswd -B -c FILE USER" and see that this server may read it`, Err: err}
	}
	return nil
}

// Authenticate implements appliance.Authenticator.
func (h *Htpasswd) Authenticate(ctx context.Context, _ *appliance.Session, user string, pw appliance.Secret) (appliance.Identity, error) {
	name, err := h.table.Get().Login(ctx, user, pw)
	if err != nil {
		return appliance.Identity{}, err
	}
	return appliance.Identity{User: name, By: h.addr}, nil
}

// KnownUser implements appliance.UserKnower.
func (h *Htpasswd) KnownUser(user string) (string, bool) { return h.table.Get().Known(user) }

// Forget implements appliance.Forgetter.
func (h *Htpasswd) Forget() { h.table.Get().Forget() }

func (h *Htpasswd) load(log *zap.Logger, hostname string) (*passwd.Table, error) {
	content, err := localfile.ReadSecret(log, h.File, maxFile)
	if err != nil {
		return nil, err
	}
	entries, err := parse(string(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.File, err)
	}
	if len(entries) == 0 {
		log.Warn("the file holds no user: nobody can log in", zap.String("file", h.File))
	}
	return passwd.NewTable(hostname, entries), nil
}

// parse reads the lines of the file. Empty lines and lines that begin with
// "#" do not count. Errors name the line and never show what it says.
func parse(content string) ([]passwd.Entry, error) {
	var entries []passwd.Entry
	lines := make(map[string]int)
	n := 0
	for line := range strings.Lines(content) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if first, ok := lines[e.Name]; ok {
			return nil, fmt.Errorf("line %d: user %q stands on line %d already", n, e.Name, first)
		}
		lines[e.Name] = n
		entries = append(entries, e)
	}
	return entries, nil
}

func parseLine(line string) (passwd.Entry, error) {
	name, hash, ok := strings.Cut(line, ":")
	if !ok {
		return passwd.Entry{}, errors.New(`no colon; "name:hash" is expected`)
	}
	if err := passwd.CheckName(name); err != nil {
		return passwd.Entry{}, err
	}
	v, err := password.Parse(hash)
	if err != nil {
		return passwd.Entry{}, fmt.Errorf("password of user %q %w", name, err)
	}
	return passwd.Entry{Name: name, Verifier: v}, nil
}
