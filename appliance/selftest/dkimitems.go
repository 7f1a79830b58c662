package selftest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// dkimItems are the items about signatures. Points are lost once: when none
// verifies.
func (j *judge) dkimItems(all []*signature) []Item {
	const name = "DKIM"
	j.dkim = NotMet
	if len(all) == 0 {
		return []Item{bad(name, 30, "the message is not signed", "give the pipeline a signer for the domain of the From field: signers = [signer.name]")}
	}
	var items []Item
	for _, s := range all {
		items = append(items, s.item)
	}
	n := slices.IndexFunc(all, func(s *signature) bool { return s.pass })
	if n < 0 {
		return append(items, j.noneVerifies(items))
	}
	j.dkim = Met
	for i := range items {
		if items[i].Status == appliance.FoundFail {
			// One that does not verify counts as one that is not there (RFC 6376,
			// section 6.1), but some filters think less of the message.
			items[i].Status, items[i].Lost = appliance.FoundWarn, 3
		}
	}
	if extra := j.Message.Header.Count("DKIM-Signature") - len(all); extra > 0 {
		items = append(items, poor(name, 3, fmt.Sprintf("there are %d more signatures than a receiver looks at", extra), "sign once or twice"))
	}
	return append(items, j.quality(all[n])...)
}

func (j *judge) noneVerifies(items []Item) Item {
	for i := range items {
		if items[i].Status == appliance.FoundSkipped {
			j.dkim = NotKnown
			return unknown("DKIM", "whether a signature verifies is not known: the DNS did not answer")
		}
	}
	return bad("DKIM", 30, "no signature verifies: the message counts as not signed", "see the fix of each signature")
}

// quality is about the first signature that verifies.
func (j *judge) quality(s *signature) (items []Item) {
	for _, p := range s.key.Compare(j.signingKey(s)) {
		if p.Severity == dkimkey.Warn && !s.key.Testing() {
			items = append(items, poor("DKIM key", 3, fmt.Sprintf("at %s: %s", s.name(), p.Text), p.Fix))
		}
	}
	items = append(items, j.coverage(s))
	if left := s.expires.Sub(j.Now); !s.expires.IsZero() && left < leastLife {
		items = append(items, poor("DKIM expiry", 3, fmt.Sprintf("the signature is good for %s only; mail that waits in a queue for longer arrives unsigned",
			appliance.FormatDuration(left.Round(time.Minute))), "give the signer an expire of 14d"))
	}
	return items
}

// shown are fields that readers see or that say how to read the body: who can
// change one behind the signature can deceive the reader.
var shown = []string{"From", "Subject", "Date", "To", "Cc", "Reply-To", "Message-ID", "MIME-Version", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post"}

// oversigned are those of which nobody should be able to add a second one.
var oversigned = []string{"From", "Subject", "Date", "To"}

// coverage says whether the signature covers what it should. RFC 6376, section
// 5.4.2: a field is named once more than it is there, so that none can be added.
func (j *judge) coverage(s *signature) Item {
	const name = "DKIM coverage"
	var open, addable []string
	for _, f := range shown {
		if n := s.names(f); n < j.Message.Header.Count(f) {
			open = append(open, f)
		} else if n == j.Message.Header.Count(f) && slices.Contains(oversigned, f) {
			addable = append(addable, f)
		}
	}
	switch {
	case open != nil:
		return poor(name, 3, "the signature does not cover "+strings.Join(open, ", ")+": anybody can change it", "add the fields to headers of the signer")
	case addable != nil:
		return poor(name, 1, "a second "+strings.Join(addable, ", ")+" can be added without breaking the signature, and some programs show that one", "let the signer name the fields once more than they are there, as that of this server does")
	}
	return good(name, "it covers what readers see, and nobody can add a second From, Subject, Date or To")
}

// names says how often h= names a field.
func (s *signature) names(field string) (n int) {
	for _, f := range s.signed {
		if strings.EqualFold(f, field) {
			n++
		}
	}
	return n
}
