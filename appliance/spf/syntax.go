package spf

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The grammar of RFC 7208, section 12, as far as regular expressions go.
const (
	// Section 7.1; c, r and t are for explanations alone (section 7.2).
	macroExpand  = `(?:%\{[slodiphv](?:[1-9][0-9]{0,2})?r?[-.+,/_=]*\}|%%|%_|%-)`
	macroString  = `(?:` + macroExpand + `|[!-$&-~])*`
	anyMacro     = `(?:%\{[slodiphvcrt](?:[1-9][0-9]{0,2})?r?[-.+,/_=]*\}|%%|%_|%-|[!-$&-~])*`
	topLabel     = `(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])`
	domainSpec   = `(?:` + macroString + `(?:\.` + topLabel + `\.?|` + macroExpand + `))`
	prefixLength = `(?:0|[1-9][0-9]{0,2})`
	dualPrefix   = `(?:/(` + prefixLength + `))?(?://(` + prefixLength + `))?`
)

// grammar has one expression for each kind of term, by its name.
var grammar = map[string]*regexp.Regexp{
	"all":      whole(`all`),
	"include":  whole(`include:` + domainSpec),
	"a":        whole(`a(?::` + domainSpec + `)?` + dualPrefix),
	"mx":       whole(`mx(?::` + domainSpec + `)?` + dualPrefix),
	"ptr":      whole(`ptr(?::` + domainSpec + `)?`),
	"exists":   whole(`exists:` + domainSpec),
	"ip4":      whole(`ip4:([0-9.]+)(?:/(` + prefixLength + `))?`),
	"ip6":      whole(`ip6:([0-9a-f:.]+)(?:/(` + prefixLength + `))?`),
	"redirect": whole(`redirect=` + domainSpec),
	"exp":      whole(`exp=` + domainSpec),
}

var otherModifier = whole(`[a-z][a-z0-9._-]*=` + anyMacro)

func whole(expression string) *regexp.Regexp { return regexp.MustCompile(`^(?i:` + expression + `)$`) }

// A syntaxError says which term of a record is none.
type syntaxError struct{ domain, term, why string }

func (e *syntaxError) Error() string {
	return fmt.Sprintf("%q in the record of %s: %s", e.term, e.domain, e.why)
}

// checkSyntax: RFC 7208, section 4.6: "Syntax errors anywhere in the record
// MUST be detected, and the check_host() function terminates immediately with
// the result "permerror"."
func checkSyntax(domain, record string) *syntaxError {
	once := make(map[string]bool)
	for term := range strings.SplitSeq(record, " ") {
		if term == "" || Is(term) && !once["version"] {
			once["version"] = once["version"] || term != ""
			continue
		}
		name, why := checkTerm(term)
		if why == "" && (name == "redirect" || name == "exp") && once[name] {
			why = name + "= must not stand there twice" // section 6
		}
		if why != "" {
			return &syntaxError{domain, term, why}
		}
		once[name] = true
	}
	return nil
}

// checkTerm returns the name of a term and what is wrong with it.
func checkTerm(term string) (name, why string) {
	if word, _, ok := modifier(term); ok {
		name = strings.ToLower(word)
		if re := grammar[name]; (name == "redirect" || name == "exp") && !re.MatchString(term) {
			return name, "a name with a dot in it has to follow"
		}
		if !otherModifier.MatchString(term) && name != "redirect" && name != "exp" {
			return name, "is no modifier"
		}
		return name, ""
	}
	_, name, _ = split(term)
	re := grammar[name]
	switch {
	case re == nil || name == "redirect" || name == "exp":
		return name, "is no mechanism of SPF"
	case !re.MatchString(bare(term)):
		return name, "is not written as " + name + " has to be"
	}
	return name, checkNetwork(name, re.FindStringSubmatch(bare(term)))
}

// checkNetwork looks at addresses and the lengths of prefixes.
func checkNetwork(name string, parts []string) (why string) {
	longest := map[string][2]int{"a": {32, 128}, "mx": {32, 128}, "ip4": {0, 32}, "ip6": {0, 128}}[name]
	if name == "ip4" || name == "ip6" {
		ip, err := netip.ParseAddr(parts[1])
		if err != nil || ip.Is4() != (name == "ip4") {
			return fmt.Sprintf("%q is no address of this kind", parts[1])
		}
		parts = append([]string{""}, "", parts[2])
	}
	for i, text := range parts[1:] {
		if n, err := strconv.Atoi(text); text != "" && (err != nil || n > longest[i]) {
			return fmt.Sprintf("no prefix has %s bits", text)
		}
	}
	return ""
}
