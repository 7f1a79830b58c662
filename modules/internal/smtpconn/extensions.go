package smtpconn

import (
	"slices"
	"strconv"
	"strings"
)

// extensions is what a server offers in its reply to EHLO.
type extensions struct {
	pipelining bool
	sizes      bool  // SIZE= is understood (RFC 1870)
	size       int64 // largest message, 0 if not said
	eightBit   bool
	utf8       bool
	dsn        bool
	chunking   bool // RFC 3030
	startTLS   bool
	requireTLS bool
	auth       []string // mechanisms, in upper case
}

// parseExtensions reads the lines of a reply to EHLO; the first is the name
// of the server. RFC 5321, section 2.4: keywords are not case sensitive.
func parseExtensions(lines []string) extensions {
	var e extensions
	for _, line := range lines[min(1, len(lines)):] {
		// "AUTH=LOGIN" is how servers older than RFC 2554 announce AUTH.
		words := strings.FieldsFunc(strings.ToUpper(line), func(r rune) bool { return r == ' ' || r == '=' })
		if len(words) == 0 {
			continue
		}
		switch keyword, params := words[0], words[1:]; keyword {
		case "PIPELINING":
			e.pipelining = true
		case "8BITMIME":
			e.eightBit = true
		case "SMTPUTF8":
			e.utf8 = true
		case "DSN":
			e.dsn = true
		case "CHUNKING":
			e.chunking = true
		case "STARTTLS":
			e.startTLS = true
		case "REQUIRETLS":
			e.requireTLS = true
		case "AUTH":
			e.auth = append(e.auth, params...)
		case "SIZE":
			e.sizes = true
			if len(params) > 0 {
				e.size, _ = strconv.ParseInt(params[0], 10, 64) // nonsense is no limit
			}
		}
	}
	return e
}

func (e *extensions) offersAuth(mechanism string) bool { return slices.Contains(e.auth, mechanism) }
