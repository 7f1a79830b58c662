package sevenbit

import (
	"mime"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// encodeFields makes the fields of a header ASCII. It is false if it cannot,
// and then the header is of no use.
func encodeFields(h *appliance.Header) bool {
	for f := range h.All() {
		if isASCII(string(f.Raw)) {
			continue
		}
		value, ok := encodeField(strings.ToLower(f.Name), f.Value())
		if !ok || h.Count(f.Name) > 1 {
			return false
		}
		if f = appliance.NewField(f.Name, value); !isASCII(string(f.Raw)) || !h.Replace(f) {
			return false
		}
	}
	return true
}

// encodeField encodes the value of a field that is known to be text, or a list
// of addresses. name is in lower case.
func encodeField(name, value string) (string, bool) {
	if !utf8.ValidString(value) || strings.Contains(value, "=?") {
		return "", false // a mixture may mean anything
	}
	switch name {
	case "subject", "comments", "organization":
		return encodeWords(value), true
	case "from", "sender", "reply-to", "to", "cc":
		return encodeAddresses(value)
	}
	return "", false
}

// encodeWords is text as encoded words (RFC 2047, section 5, rule 1): all of
// it, so that no space between two words is lost.
func encodeWords(text string) string {
	return mime.QEncoding.Encode("utf-8", text)
}

// encodeAddresses encodes the names in a list of addresses (rule 3). Groups and
// comments would not survive being read and written.
func encodeAddresses(value string) (string, bool) {
	if strings.ContainsAny(value, ":;(") {
		return "", false
	}
	list, err := mail.ParseAddressList(value)
	if err != nil {
		return "", false
	}
	all := make([]string, len(list))
	for i, a := range list {
		if !isASCII(a.Address) {
			return "", false // it needs SMTPUTF8, whatever we do
		}
		all[i] = a.String()
	}
	return strings.Join(all, ", "), true
}
