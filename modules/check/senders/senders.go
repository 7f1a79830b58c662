// Package senders is check "senders": who may send as whom.
//
//	check "senders" "own" {
//	  allow = {
//	    app = ["@example.com"]
//	    "*" = ["{user}@example.com"]
//	  }
//	  trusted = ["@example.com"]
//	}
//
// Without it, whoever logs in may write any address into MAIL FROM and into
// the From field, and have it signed. With it, a user may use the addresses
// of the entry with the user's name, or of the entry "*" when there is none
// with the name; clients of a trusted network, who do not log in, may use
// those of trusted. What no entry allows is refused with 550 5.7.1.
//
// # Patterns
//
//	bob@example.com       this address
//	@example.com          every address of this domain
//	@*.example.com        every address of its subdomains, not of itself
//	{user}@example.com    {user} is the name of the user
//	{user}                the name of the user, where names are addresses
//	*                     every address
//
// Case does not matter. International domains compare in A-label form.
//
// # What is looked at
//
// At MAIL the reverse-path, where the null reverse-path is allowed: it is how
// reports and read receipts are sent. At the end of the content every mailbox
// of the From and Sender fields (RFC 5322, section 3.6.2). Resent fields and
// Reply-To are not looked at.
//
// Mail from strangers, who neither log in nor are trusted, is not the business
// of this check: they can send to nobody but our own recipients, and SPF and
// DMARC tell whether they may use their address. The administrator may send as
// anybody: what is handed in through the admin interface passes.
package senders

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindCheck,
		Name:    "senders",
		Summary: "who may send as whom, in the envelope and in the header",
		Example: `check "senders" "own" {
  allow = {
    app = ["@example.com"]
    "*" = ["{user}@example.com"]
  }
}
`,
		New: func() appliance.Module { return new(Senders) },
	})
}

// Senders is the check.
type Senders struct {
	// For each user the addresses to send as: "bob@example.com",
	// "@example.com" for a whole domain, "@*.example.com" for its subdomains,
	// "{user}@example.com" with the name of the user, "*" for any. The entry
	// "*" is for users who have none of their own. A user without an entry may
	// send as nobody.
	Allow map[string][]string `hcl:"allow,optional"`
	// The addresses that clients of a trusted network may send as, who do not
	// log in. The same patterns, without {user}. Default: none.
	Trusted []string `hcl:"trusted,optional"`

	users   map[string]patterns
	trusted patterns
}

// everybody is the entry for users without one.
const everybody = "*"

var (
	_ appliance.Check     = (*Senders)(nil)
	_ appliance.Validator = (*Senders)(nil)
)

// Validate implements appliance.Validator.
func (s *Senders) Validate() error {
	_, _, err := s.compile()
	return err
}

// Provision implements appliance.Module.
func (s *Senders) Provision(*appliance.Context) (err error) {
	s.users, s.trusted, err = s.compile()
	return err
}

func (s *Senders) compile() (users map[string]patterns, trusted patterns, err error) {
	if len(s.Allow) == 0 && len(s.Trusted) == 0 {
		return nil, nil, &appliance.AttrError{Attr: "allow",
			Msg: `is missing: nobody could send; write allow = { "*" = ["{user}@example.com"] }`}
	}
	users = make(map[string]patterns, len(s.Allow))
	for _, user := range slices.Sorted(maps.Keys(s.Allow)) {
		if users[user], err = parsePatterns(s.Allow[user]); err != nil {
			return nil, nil, &appliance.AttrError{Attr: "allow", Msg: fmt.Sprintf("entry %q: %v", user, err)}
		}
	}
	if trusted, err = parsePatterns(s.Trusted); err != nil {
		return nil, nil, &appliance.AttrError{Attr: "trusted", Msg: err.Error()}
	}
	if slices.ContainsFunc(trusted, pattern.needsUser) {
		return nil, nil, &appliance.AttrError{Attr: "trusted",
			Msg: "{user} has no meaning for clients that do not log in; write their addresses or domains"}
	}
	return users, trusted, nil
}

// Stages implements appliance.Check.
func (s *Senders) Stages() appliance.Stage { return appliance.AtSender | appliance.AtContent }

// Inspect implements appliance.Check.
func (s *Senders) Inspect(_ context.Context, at appliance.Stage, tx *appliance.Transaction) (appliance.Verdict, error) {
	if !tx.Session.MayRelay() || tx.Session.Trusted == appliance.TrustedAdmin {
		return appliance.Verdict{}, nil // a stranger, or the administrator
	}
	if at == appliance.AtSender {
		return appliance.Verdict{Refuse: s.envelope(tx)}, nil
	}
	return appliance.Verdict{Refuse: s.header(tx)}, nil
}

// envelope objects to the reverse-path, or returns nil.
func (s *Senders) envelope(tx *appliance.Transaction) *appliance.Reply {
	if from := tx.Envelope.From; !from.IsNull() && !s.allowed(tx.Session, from) {
		return refuse(tx.Session, "as envelope sender", from)
	}
	return nil
}

// header objects to the From and Sender fields, or returns nil.
func (s *Senders) header(tx *appliance.Transaction) *appliance.Reply {
	h := &tx.Message.Header
	// Without a From field the pipeline makes one of the envelope sender, which
	// has been looked at, or refuses.
	if h.Count("From") > 0 {
		authors, err := h.From()
		if err != nil {
			return malformed("From", err)
		}
		for _, m := range authors {
			if !s.allowed(tx.Session, m) {
				return refuse(tx.Session, "in the From field", m)
			}
		}
	}
	for _, value := range h.Values("Sender") {
		m, err := parseSender(value)
		if err != nil {
			return malformed("Sender", err)
		}
		if !s.allowed(tx.Session, m) {
			return refuse(tx.Session, "in the Sender field", m)
		}
	}
	return nil
}

// parseSender parses the value of a Sender field, which is one mailbox
// (RFC 5322, section 3.6.2), as the value of a From field, which is a list.
func parseSender(value string) (appliance.Mailbox, error) {
	var h appliance.Header
	h.Append(appliance.NewField("From", value))
	list, err := h.From()
	if err != nil {
		return appliance.Mailbox{}, err
	}
	if len(list) != 1 {
		return appliance.Mailbox{}, fmt.Errorf("%d mailboxes, exactly one is needed", len(list))
	}
	return list[0], nil
}

func (s *Senders) allowed(session *appliance.Session, m appliance.Mailbox) bool {
	user := session.User()
	if user == "" {
		return s.trusted.match(m, "")
	}
	own, ok := s.users[user]
	if !ok {
		own = s.users[everybody]
	}
	return own.match(m, user)
}

func refuse(session *appliance.Session, where string, m appliance.Mailbox) *appliance.Reply {
	who := fmt.Sprintf("user %q", session.User())
	if session.User() == "" {
		who = "a client of trusted network " + session.Trusted
	}
	return appliance.Replyf(550, 7, 1, "You may not use this address %s; "+
		"use an address of your own, or ask the administrator to allow this one", where).
		With(fmt.Errorf("%s is not allowed to send as %s", who, m))
}

func malformed(field string, err error) *appliance.Reply {
	return appliance.Replyf(550, 6, 0, "The %s field must stand in the header once and hold valid addresses", field).With(err)
}
