// Package passwd is a table of users and passwords, and the rules by which a
// log-in finds its entry. The authenticators that hold users themselves share
// it.
//
// # Names
//
// A user logs in under the name in the table. A name that ends with "@" and
// the host name of the server is also tried without that: mail programs that
// were set up for a SASL realm log in as "app@mail.example.com" where the
// table says "app". The entry decides what the user is called from there on.
//
// # Timing
//
// A log-in under an unknown name costs as much as one with a wrong password:
// the password is verified against the entry of somebody else, and the answer
// thrown away. Which entry depends on the name and on a seed of the process,
// so that unknown names are as cheap or dear as known ones also when the
// table mixes kinds of hashes, and a name always costs the same.
//
// A user whose password was right less than five minutes ago logs in with it
// again without the cost. That is for known names alone: a guess at an unknown
// one that happens to be the password of somebody else takes as long as ever. Another
// table, which is made when the users change or are only read again, remembers
// nobody.
package passwd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Verifier knows whether a password is the right one; *password.Verifier is
// one. An error means that it could not find out.
type Verifier interface {
	// Verify takes as long for every password.
	Verify(ctx context.Context, password string) (bool, error)
	// VerifyAgain may take less for one that was right before.
	VerifyAgain(ctx context.Context, password string) (bool, error)
	// Forget has the next VerifyAgain take as long as Verify.
	Forget()
}

// An Entry is a user.
type Entry struct {
	Name     string
	Verifier Verifier
}

// A Table is an immutable set of users, who may be remembered.
type Table struct {
	hostname string
	entries  []Entry
	byName   map[string]int
	seed     maphash.Seed
}

// NewTable makes a table. The names are valid ([CheckName]) and different.
func NewTable(hostname string, entries []Entry) *Table {
	t := &Table{hostname: hostname, entries: entries, byName: make(map[string]int, len(entries)), seed: maphash.MakeSeed()}
	for i, e := range entries {
		t.byName[e.Name] = i
	}
	return t
}

// Login returns the name in the table of the user who logs in as user. The
// error is [appliance.ErrCredentials] unless it could not find out.
func (t *Table) Login(ctx context.Context, user string, password appliance.Secret) (string, error) {
	if len(t.entries) == 0 || password.Reveal() == "" {
		return "", appliance.ErrCredentials
	}
	i, known := t.find(user)
	verify := t.entries[i].Verifier.Verify
	if known {
		verify = t.entries[i].Verifier.VerifyAgain
	}
	ok, err := verify(ctx, password.Reveal())
	if err != nil {
		return "", err
	}
	if !ok || !known {
		return "", appliance.ErrCredentials
	}
	return t.entries[i].Name, nil
}

// Forget has every user pay the cost of a log-in once more.
func (t *Table) Forget() {
	for _, e := range t.entries {
		e.Verifier.Forget()
	}
}

// Known returns the name in the table of the user who logs in as user; it is
// false if there is none. It is not for clients: it takes no password, and less
// time for one that is not there.
func (t *Table) Known(user string) (string, bool) {
	i, known := t.lookup(user)
	if !known {
		return "", false
	}
	return t.entries[i].Name, true
}

// find returns the entry for user, or that of somebody else if there is none.
func (t *Table) find(user string) (i int, known bool) {
	if i, known = t.lookup(user); known {
		return i, true
	}
	return int(maphash.String(t.seed, user) % uint64(len(t.entries))), false
}

func (t *Table) lookup(user string) (i int, known bool) {
	if i, known = t.byName[user]; known {
		return i, true
	}
	at := strings.LastIndexByte(user, '@')
	if at >= 0 && strings.EqualFold(user[at+1:], t.hostname) {
		i, known = t.byName[user[:at]]
	}
	return i, known
}

// maxName is the longest user name, in octets: that of an address.
const maxName = 254

// CheckName says what is wrong with a user name. Names stand in logs, in
// quota keys and, by way of check.senders, in addresses: they hold no control
// characters and no spaces. The colon belongs to the file format of htpasswd.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a user name is empty")
	case len(name) > maxName:
		return fmt.Errorf("a user name has %d octets; at most %d are allowed", len(name), maxName)
	case !utf8.ValidString(name):
		return errors.New("a user name is not UTF-8")
	case name[0] == '@':
		return fmt.Errorf("user name %q begins with @", name)
	}
	for _, r := range name {
		if r == ':' || !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return fmt.Errorf("user name %q holds the character %q; use letters, digits and punctuation without colons and spaces", name, r)
		}
	}
	return nil
}
