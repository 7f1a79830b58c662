package appliance

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed classes.txt
var classesText string

// ClassRules tell the replies of mail servers apart. The zero ClassRules are
// those that come with Waxwing.
type ClassRules struct{ rules []classRule }

type classRule struct {
	class Class
	code  string   // a pattern of package path; with a dot it is an enhanced status code
	words []string // in lower case; none is any
}

const (
	maxClassText  = 1 << 20 // octets of a file of rules
	maxClassRules = 2000
)

// builtinClassRules are the rules of classes.txt.
var builtinClassRules = func() ClassRules {
	r, err := ParseClassRules(classesText)
	if err != nil {
		panic(err) // a test reads the file too
	}
	return r
}()

// ParseClassRules parses rules in the form of classes.txt. The error names the
// line.
func ParseClassRules(text string) (ClassRules, error) {
	var all ClassRules
	if len(text) > maxClassText {
		return all, fmt.Errorf("the rules have %d octets, at most %d are allowed", len(text), maxClassText)
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := parseClassRule(line)
		if err == nil && len(all.rules) == maxClassRules {
			err = fmt.Errorf("more than %d rules", maxClassRules)
		}
		if err != nil {
			return ClassRules{}, fmt.Errorf("line %d: %w", n, err)
		}
		all.rules = append(all.rules, r)
	}
	return all, nil
}

func parseClassRule(line string) (r classRule, err error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return r, fmt.Errorf("%q: write a class, a code and words", line)
	}
	r.class, r.code = Class(fields[0]), fields[1]
	if !r.class.IsValid() {
		return r, fmt.Errorf("there is no class %q", fields[0])
	}
	if strings.Trim(r.code, "0123456789.*?") != "" {
		return r, fmt.Errorf(`%q is no code; write one as "5.7.26", "*.2.2", "421" or "*"`, r.code)
	}
	if len(fields) == 2 {
		return r, nil
	}
	for words := range strings.SplitSeq(strings.Join(fields[2:], " "), "|") {
		if words = strings.ToLower(strings.TrimSpace(words)); words == "" {
			return r, fmt.Errorf("%q: nothing stands beside a |", line)
		}
		r.words = append(r.words, words)
	}
	return r, nil
}

// UnmarshalText implements encoding.TextUnmarshaler: the text is the absolute
// path of a file of rules, which is read at once.
func (c *ClassRules) UnmarshalText(b []byte) error {
	name := string(b)
	if !filepath.IsAbs(name) {
		return fmt.Errorf(`%q is no absolute path; write one as "/etc/waxwing/classes.txt"`, name)
	}
	text, err := readRules(name)
	if err != nil {
		return err
	}
	rules, err := ParseClassRules(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*c = rules
	return nil
}

// readRules reads a regular file, and no more of it than can be rules.
func readRules(name string) (string, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxClassText+1))
	return string(b), errors.Join(err, f.Close())
}

// Classify says what a result is about: "" if the recipient is served. It
// depends on nothing but the reply.
func (c ClassRules) Classify(r *Result) Class {
	reply := &r.Reply
	if reply.Positive() {
		return ""
	}
	if !r.Remote && !quotes(reply.Text) {
		return ownClass(reply)
	}
	rules := c.rules
	if rules == nil {
		rules = builtinClassRules.rules
	}
	status, code := reply.Status(), strconv.Itoa(reply.Code)
	text := strings.ToLower(strings.Join(strings.Fields(reply.Text), " "))
	for i := range rules {
		if rules[i].fits(status, code, text) {
			return rules[i].class
		}
	}
	return ClassOther
}

func (r *classRule) fits(status, code, text string) bool {
	against := code
	if strings.Contains(r.code, ".") {
		against = status
	}
	if ok, _ := path.Match(r.code, against); !ok {
		return false
	}
	for _, words := range r.words {
		if strings.Contains(text, words) {
			return true
		}
	}
	return len(r.words) == 0
}

// quotes says whether a finding of our own is about what the other server said
// before there was a message: modules/internal/smtpconn words it like this,
// behind the name of the server. What the server said does not decide that:
// words of its own in a refusal of TLS would make it something else.
func quotes(text string) bool {
	_, finding, _ := strings.Cut(text, " ")
	if rest, ok := strings.CutPrefix(finding, "answered "); ok {
		return strings.Contains(rest, " with: ")
	}
	return strings.HasPrefix(finding, "greeted with: ")
}

// ownClass is for what we have found out ourselves: there the enhanced status
// code decides, which we have chosen.
func ownClass(r *Reply) Class {
	switch r.Detail {
	case Detail{3, 4}:
		return ClassSize
	case Detail{4, 1}, Detail{4, 2}:
		return ClassConnection
	case Detail{4, 0}, Detail{4, 3}, Detail{4, 4}:
		return ClassDNS
	case Detail{4, 5}:
		return ClassRate
	case Detail{4, 6}:
		return ClassLoop
	case Detail{4, 7}:
		return ClassExpired
	case Detail{7, 8}, Detail{7, 11}:
		return ClassLogin
	}
	switch {
	case r.Detail.Subject == 1 && (r.Detail.Detail == 7 || r.Detail.Detail == 8):
		return ClassSender
	case r.Detail.Subject == 1:
		return ClassDomain
	case r.Detail.Subject == 5:
		return ClassProtocol
	case r.Detail.Subject == 6:
		return ClassContent
	case r.Detail.Subject == 7 && strings.Contains(r.Text, "authentication"):
		return ClassLogin
	case r.Detail.Subject == 7:
		return ClassTLS
	case r.Permanent() && r.Detail == Detail{}:
		return ClassEnded
	}
	return ClassLocal
}
