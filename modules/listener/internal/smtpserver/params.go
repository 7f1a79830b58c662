package smtpserver

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A param is one of the parameters of MAIL and RCPT (RFC 5321, section 4.1.2:
// esmtp-param).
type param struct {
	key   string // in upper case
	value string
	given bool // there was a "="
}

var errBadParam = appliance.NewReply(501, 5, 4, "Bad parameter")

func badParam(text string) *appliance.Reply { return appliance.NewReply(501, 5, 4, text) }

// parseParams parses " KEY=value KEY2". A parameter given twice is an error:
// two readers could disagree about which one counts.
func parseParams(s string) ([]param, error) {
	var all []param
	for word := range strings.SplitSeq(s, " ") {
		if word == "" {
			continue // several spaces
		}
		var p param
		p.key, p.value, p.given = strings.Cut(word, "=")
		p.key = strings.ToUpper(p.key)
		if !isKeyword(p.key) || !isParamValue(p.value) || p.given && p.value == "" {
			return nil, errBadParam
		}
		for _, other := range all {
			if other.key == p.key {
				return nil, badParam("A parameter was given twice")
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// isKeyword: esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-").
func isKeyword(s string) bool {
	for i, c := range []byte(s) {
		letter := 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// isParamValue: esmtp-value = 1*(%d33-60 / %d62-126), and UTF-8 beyond ASCII
// (RFC 6531, section 3.3).
func isParamValue(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c == '=' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// setMailParam applies one parameter of MAIL.
func setMailParam(env *appliance.Envelope, p param, authParam bool) (err error) {
	value := strings.ToUpper(p.value)
	switch {
	case p.key == "SIZE":
		env.Size, err = parseSize(p.value)
		return err
	case p.key == "BODY" && (value == "7BIT" || value == "8BITMIME"):
		env.EightBit = value == "8BITMIME"
	case p.key == "BODY":
		return badParam("BODY is 7BIT or 8BITMIME")
	case p.key == "SMTPUTF8" && !p.given:
		env.SMTPUTF8 = true
	case p.key == "SMTPUTF8":
		return badParam("SMTPUTF8 takes no value")
	case p.key == "REQUIRETLS" && !p.given:
		env.RequireTLS = true
	case p.key == "REQUIRETLS":
		return badParam("REQUIRETLS takes no value")
	case p.key == "RET" && (value == "FULL" || value == "HDRS"):
		env.Return = value
	case p.key == "RET":
		return badParam("RET is FULL or HDRS")
	case p.key == "ENVID":
		env.EnvelopeID, err = parseEnvID(p.value)
		return err
	case p.key == "AUTH" && authParam:
		if _, ok := decodeXtext(p.value); !ok || !p.given {
			return badParam("AUTH is an address in xtext, or <>")
		}
	default:
		return errNotOffered
	}
	return nil
}

// RFC 5321, section 4.1.1.11: "If the server SMTP does not recognize or cannot
// implement one or more of the parameters … it will return code 555".
var errNotOffered = appliance.NewReply(555, 5, 4, "This parameter is not offered here; see the reply to EHLO")

// setRcptParam applies one parameter of RCPT.
func setRcptParam(to *appliance.Recipient, p param, utf8Allowed bool) (err error) {
	switch p.key {
	case "NOTIFY":
		to.Notify, err = parseNotify(p.value)
	case "ORCPT":
		to.Original, err = parseORCPT(p.value, utf8Allowed)
	default:
		err = errNotOffered
	}
	return err
}

// parseSize parses SIZE= (RFC 1870, section 6). What does not fit into 63 bits
// is too large for any limit.
func parseSize(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, badParam("SIZE is a number of octets")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, nil
	}
	return n, nil
}

// parseEnvID parses ENVID= (RFC 3461, section 4.4: at most 100 characters,
// printable once decoded).
func parseEnvID(s string) (string, error) {
	id, ok := decodeXtext(s)
	if !ok || id == "" || len(s) > 100 || !plainText([]byte(id)) {
		return "", badParam("ENVID is at most 100 characters of xtext")
	}
	return id, nil
}

// parseNotify parses NOTIFY= (RFC 3461, section 4.1): NEVER, or a list.
func parseNotify(s string) (appliance.Notify, error) {
	var all appliance.Notify
	for word := range strings.SplitSeq(strings.ToUpper(s), ",") {
		var n appliance.Notify
		switch word {
		case "NEVER":
			n = appliance.NotifyNever
		case "SUCCESS":
			n = appliance.NotifySuccess
		case "FAILURE":
			n = appliance.NotifyFailure
		case "DELAY":
			n = appliance.NotifyDelay
		}
		if n == 0 || all&(n|appliance.NotifyNever) != 0 || n == appliance.NotifyNever && all != 0 {
			return 0, badParam("NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY")
		}
		all |= n
	}
	return all, nil
}

// parseORCPT parses ORCPT= (RFC 3461, section 4.2: an address type, a
// semicolon and an address in xtext, at most 500 characters; RFC 6533, section
// 3 for the type utf-8).
func parseORCPT(s string, utf8Allowed bool) (string, error) {
	kind, address, ok := strings.Cut(s, ";")
	decoded, decodes := decodeXtext(address)
	switch {
	case !ok, len(s) > 500, !isKeyword(strings.ToUpper(kind)), !decodes, decoded == "",
		!plainText([]byte(decoded)) && (!utf8Allowed || !printableUTF8(decoded)):
		return "", badParam("ORCPT is an address type, a semicolon and an address in xtext")
	}
	return strings.ToLower(kind) + ";" + decoded, nil
}

// printableUTF8 says whether s is UTF-8 without control characters.
func printableUTF8(s string) bool {
	for _, r := range s {
		if r < ' ' || 0x7f <= r && r < 0xa0 || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// decodeXtext decodes RFC 3461, section 4: "+" and two upper-case hexadecimal
// digits stand for one octet. The caller looks at what comes out.
func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || strings.ToUpper(s[i+1:i+3]) != s[i+1:i+3] {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}
