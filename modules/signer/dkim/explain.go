package dkim

import (
	"context"
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.Explainer = (*DKIM)(nil)

// Explain implements appliance.Explainer: for which domain a message with the
// sender in From is signed, and with which keys.
func (d *DKIM) Explain(_ context.Context, q appliance.Question) []appliance.Answer {
	var h appliance.Header
	h.Append(appliance.NewField("From", q.From.Path()))
	domain := d.responsible(&h)
	if domain == "" {
		return nil
	}
	all := d.signatures(domain)
	if d.Expire > 0 {
		until := "the signature is good for " + appliance.FormatDuration(d.Expire.Round(time.Second))
		all = append(all, appliance.Answer{Topic: "signed", Text: until, Attr: "expire"})
	}
	return all
}

// signatures are those that a message of a domain gets. Which keys of the store
// sign is known after Start; before, there is the selector that the first of
// them had.
func (d *DKIM) signatures(domain string) []appliance.Answer {
	var all []appliance.Answer
	answer := func(s string, w wanted) {
		all = append(all, appliance.Answer{Topic: "signed", Text: fmt.Sprintf("d=%s s=%s, %s", domain, s, d.origin(w)), Attr: d.decides(w)})
	}
	if r := d.ring.Load(); r != nil && r.lives[domain] != nil {
		for _, k := range r.keys[domain] {
			answer(k.selector, k.wanted)
		}
		return all
	}
	for _, w := range d.plan.keys[domain] {
		if d.decides(w) == "selector" {
			answer(w.selector+" or its successor", w)
		} else {
			answer(w.selector, w)
		}
	}
	return all
}

// origin says where the key comes from.
func (d *DKIM) origin(w wanted) string {
	switch {
	case w.file != "":
		return "the key in " + w.file
	case d.KeyDir != "":
		return "a key in " + d.KeyDir
	}
	return w.algorithm + " key of the store"
}

// decides is the attribute that brings the key.
func (d *DKIM) decides(w wanted) string {
	switch {
	case w.file != "":
		return "key." + w.selector
	case d.KeyDir != "":
		return "key_dir"
	}
	return "selector"
}
