package provider

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Strings cuts the value of a TXT record into its character-strings (RFC 1035,
// section 3.3.14): one at least, each of at most 255 octets.
func Strings(value string) []string {
	var all []string
	for len(value) > maxText {
		all = append(all, value[:maxText])
		value = value[maxText:]
	}
	return append(all, value)
}

// Quote writes the value of a TXT record as zone files have it: quoted
// strings, in which quotes, backslashes and what is not printable ASCII are
// escaped (RFC 1035, section 5.1).
func Quote(value string) string {
	var b strings.Builder
	for i, s := range Strings(value) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		b.WriteString(Escape(s))
		b.WriteByte('"')
	}
	return b.String()
}

// Escape writes octets as they stand between the quotes of a zone file.
func Escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.Write([]byte{'\\', c})
		case c < ' ' || c > '~':
			b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Unquote reads what [Quote] writes. What has no quotes is taken to be one
// string without escapes, since some operators store it so.
func Unquote(text string) (string, error) {
	rest := strings.TrimSpace(text)
	if !strings.HasPrefix(rest, `"`) {
		return text, nil
	}
	var b strings.Builder
	for rest != "" {
		if rest[0] != '"' {
			return "", errors.New("TXT record with something between its strings")
		}
		end := closing(rest)
		if end < 0 {
			return "", errors.New("TXT record with a string that does not end")
		}
		b.WriteString(Unescape(rest[1:end]))
		rest = strings.TrimLeft(rest[end+1:], " \t")
	}
	return b.String(), nil
}

// closing finds the quote that ends the string s begins with, or -1.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// Unescape reads what [Escape] writes: \X is X and \DDD the octet of that
// decimal number.
func Unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if n, ok := decimal(s[i+1:]); ok {
			b = append(b, n)
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

// decimal reads the octet that s begins with, as three digits.
func decimal(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s[:3]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return byte(n), n <= 255
}

// maxSaid bounds what is shown of a stranger's words, in octets.
const maxSaid = 200

// Said is the first line of what a stranger wrote, fit for a log: bounded,
// without control characters, and with nothing of the secrets in it.
func Said(text string, secrets ...string) string {
	cut := len(text) > 16*maxSaid
	text = Strike(text[:min(len(text), 16*maxSaid)], cut, secrets...)
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == utf8.RuneError || appliance.IsControl(c) {
			return '?'
		}
		return c
	}, strings.TrimSuffix(line, "\r")))
	if len(line) > maxSaid {
		line = strings.ToValidUTF8(line[:maxSaid], "") + "…"
	}
	return line
}

// Strike takes secrets out of a text. Where the text was cut, its end may be
// the beginning of a secret, and goes as well.
func Strike(text string, cut bool, secrets ...string) string {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	// The longest first: one may be a part of another.
	slices.SortStableFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "(secret)")
	}
	part := 0
	for _, s := range secrets {
		for n := min(len(s), len(text)); cut && n > part; n-- {
			if strings.HasSuffix(text, s[:n]) {
				part = n
			}
		}
	}
	return text[:len(text)-part]
}
