// Package taglist reads the lists of tags that records about mail are written
// in: "v=DKIM1; k=rsa; p=MIGf…" (RFC 6376, section 3.2). DKIM's key records and
// DMARC's policies are both such lists.
//
//	tag-list  = tag-spec *( ";" tag-spec ) [ ";" ]
//	tag-spec  = [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]
//	tag-name  = ALPHA *( ALPHA / DIGIT / "_" )
//
// Names are case-sensitive, a name that is there twice makes the whole list
// invalid, and what a value means is for others to say: a tag that nobody
// knows is ignored.
package taglist

import (
	"fmt"
	"strings"
)

// maxLength bounds a list, in octets. The text of one TXT record cannot be
// longer (RFC 1035, section 3.2.1: RDLENGTH has 16 bits).
const maxLength = 65535

// A Tag is a name and its value, without the white space around them.
type Tag struct{ Name, Value string }

// Parse takes a list apart, in its order. Errors are words for the
// administrator that name the tag.
func Parse(text string) ([]Tag, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("it has %d octets, at most %d are possible", len(text), maxLength)
	}
	var all []Tag
	seen := make(map[string]bool)
	parts := strings.Split(text, ";")
	for i, part := range parts {
		if trim(part) == "" && i == len(parts)-1 {
			break // the semicolon that may be at the end
		}
		tag, err := parseTag(part)
		if err != nil {
			return nil, err
		}
		// RFC 6376, section 3.2: "Tags with duplicate names MUST NOT occur
		// within a single tag-list; if a tag name does occur more than once,
		// the entire tag-list is invalid."
		if seen[tag.Name] {
			return nil, fmt.Errorf("the tag %s= is there twice, and so all of it counts for nothing", tag.Name)
		}
		seen[tag.Name] = true
		all = append(all, tag)
	}
	return all, nil
}

func parseTag(part string) (Tag, error) {
	name, value, ok := strings.Cut(part, "=")
	name, value = trim(name), trim(value)
	switch {
	case name == "" && !ok:
		return Tag{}, fmt.Errorf("there is nothing between two semicolons")
	case !ok:
		return Tag{}, fmt.Errorf("%.60q is no tag: it has no =", name)
	case !isName(name):
		return Tag{}, fmt.Errorf("%.60q is not the name of a tag", name)
	}
	for _, c := range []byte(value) {
		if c < ' ' && !isSpace(c) || c == 0x7f {
			return Tag{}, fmt.Errorf("there is a control character in %s=", name)
		}
	}
	return Tag{name, value}, nil
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trim takes away folding white space at both ends.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// Unfold removes all white space from a value: within a base64 string it
// means nothing (RFC 6376, section 2.10).
func Unfold(s string) string {
	return strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
}

// Items are the elements of a value that is a list with colons between them.
func Items(value string) []string {
	var all []string
	for item := range strings.SplitSeq(value, ":") {
		all = append(all, trim(item))
	}
	return all
}
