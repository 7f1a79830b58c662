package selftest

import (
	"fmt"
	"strings"
)

// isBulk says whether a message is one of many that are alike: it says so
// itself, or whoever tests it does.
func (j *judge) isBulk() bool {
	h := &j.Message.Header
	switch strings.ToLower(strings.TrimSpace(h.Get("Precedence"))) {
	case "bulk", "list", "junk":
		return true
	}
	for _, name := range []string{"List-Id", "List-Unsubscribe", "List-Post", "Feedback-ID"} {
		if h.Count(name) > 0 {
			return true
		}
	}
	return j.Bulk
}

// bulkItems are about how a reader gets out of a list. Gmail and Yahoo demand
// the one click of RFC 8058 of marketing and other subscribed mail.
func (j *judge) bulkItems(signatures []*signature) []Item {
	item := j.oneClick(signatures)
	j.unsubscribe = met(&item.Finding)
	return []Item{item}
}

func (j *judge) oneClick(signatures []*signature) Item {
	const name, post = "List-Unsubscribe", "List-Unsubscribe-Post"
	const fix = "write List-Unsubscribe: <https://example.com/unsubscribe/TOKEN> and List-Unsubscribe-Post: List-Unsubscribe=One-Click"
	h := &j.Message.Header
	switch n := h.Count(name); {
	case n == 0:
		return bad(name, 20, "this is bulk mail, and there is no List-Unsubscribe field: readers can only report it as spam", fix)
	case n > 1:
		return bad(name, 20, fmt.Sprintf("there are %d List-Unsubscribe fields; receivers look at none (RFC 8058, section 3.1)", n), "write one; it may hold several addresses")
	}
	if !strings.Contains(strings.ToLower(h.Get(name)), "<https://") {
		return bad(name, 15, fmt.Sprintf("%.80q has no https address, which one click needs (RFC 8058, section 3.1)", h.Get(name)), fix)
	}
	// RFC 8058, section 3.1: "The List-Unsubscribe-Post header field MUST
	// contain the single key/value pair "List-Unsubscribe=One-Click"."
	if h.Count(post) != 1 || !strings.EqualFold(strings.TrimSpace(h.Get(post)), "List-Unsubscribe=One-Click") {
		return bad(post, 15, "there is no field List-Unsubscribe-Post: List-Unsubscribe=One-Click, so that one click is not enough", fix)
	}
	// Section 4: a valid signature must cover both fields.
	for _, s := range signatures {
		if s.pass && s.names(name) > 0 && s.names(post) > 0 {
			return good(name, "one click is enough, and a signature covers the fields")
		}
	}
	return bad(name, 10, "no signature that verifies covers List-Unsubscribe and List-Unsubscribe-Post, and so receivers do not offer the click (RFC 8058, section 4)", "let the signer sign both fields, as that of this server does")
}
