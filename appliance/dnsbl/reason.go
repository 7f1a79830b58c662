package dnsbl

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReason bounds the words of a list, in octets.
const maxReason = 300

// reason is what a list says, fit for a terminal and a log: strangers have
// written it.
func reason(texts []string) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(strings.Join(texts, " "), "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	text := strings.Join(words, " ")
	if len(text) <= maxReason {
		return text
	}
	cut := maxReason - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// link is the first web address in a text, or "".
func link(text string) string {
	for word := range strings.FieldsSeq(text) {
		start := strings.Index(word, "http")
		if start < 0 {
			continue
		}
		word = strings.TrimRight(word[start:], `.,;:!?"'()<>[]…`)
		u, err := url.Parse(word)
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil {
			return u.String()
		}
	}
	return ""
}
