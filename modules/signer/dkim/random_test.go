package dkim

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// randomMails are n messages of what is hard to canonicalize, the same ones
// each time: white space, folds and empty lines everywhere, fields of all
// spellings that occur several times, signatures of others, octets of no
// charset. Each ends with CRLF, and no name with white space: dkimpy reads
// neither. Vertical tabs and form feeds, which are no white space in mail, are
// left out, because dkimpy and OpenDKIM take them for it.
func randomMails(n int) []string {
	m := mailer{rand.New(rand.NewPCG(6376, 8463))}
	all := make([]string, n)
	for i := range all {
		all[i] = m.mail()
	}
	return all
}

type mailer struct{ *rand.Rand }

func (m mailer) one(of ...string) string { return of[m.IntN(len(of))] }

func (m mailer) mail() string {
	names := append([]string{"X-Other", "Received", "Resent-From", "ARC-Seal"}, standardHeaders[1:]...)
	names = append(names, ifPresent...)
	var fields []string
	for range m.IntN(10) {
		name := m.one(names...)
		for range 1 + m.IntN(3) {
			fields = append(fields, m.field(name, m.text(8, " \r\n  ", "\r\n ", "\r\n\t", "\r\n \r\n ")))
		}
	}
	if m.IntN(3) == 0 {
		fields = append(fields, m.field("DKIM-Signature", "v=1; a=rsa-sha256; d=other.example; s=x; h=from; bh=AAAA; b=AAAA"))
	}
	fields = append(fields, m.field("From", m.one("a@example.com", "A <a@EXAMPLE.com>", "\"A\"\r\n <a@sub.example.com>", "Jörg <jörg@example.com>")))
	m.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	lines := m.text(16, "\r\n", "\r\n\r\n", " \r\n", strings.Repeat("line\r\n", 20), strings.Repeat("\r\n", 70))
	return strings.Join(fields, "") + "\r\n" + m.one("", lines+"\r\n", lines+"\r\n")
}

func (m mailer) field(name, value string) string {
	name = m.one(name, strings.ToUpper(name), strings.ToLower(name))
	return name + ":" + m.one("", " ", "\t", "\r\n ") + value + m.one("", " ", "\t ") + "\r\n"
}

// text is up to n pieces: words, white space, and what else there is.
func (m mailer) text(n int, more ...string) string {
	pieces := append([]string{
		"a", "Word", "b=", ";", ":", "..", "<x@y>", "(\"\\", "é", "日本", "\u00a0", "\u2028", "\x85", "\xff", strings.Repeat("l", 300),
		" ", "  ", "\t", " \t ",
	}, more...)
	var b strings.Builder
	for range m.IntN(n) {
		b.WriteString(m.one(pieces...))
	}
	return b.String()
}

// TestP15Random: what is made of them verifies.
func TestP15Random(t *testing.T) {
	d := signer(t)
	for _, raw := range randomMails(500) {
		tx := parse(t, raw)
		if err := d.Modify(t.Context(), tx); err != nil {
			t.Fatalf("%v: %q", err, raw)
		}
		out := wire(t, tx)
		added, unchanged := strings.CutSuffix(out, raw)
		if !unchanged {
			t.Fatalf("changed: %q", raw)
		}
		checkShape(t, added)
		for _, v := range verify(t, d, out)[:2] {
			if v.Err != nil {
				t.Fatalf("%v: %q", v.Err, out)
			}
		}
	}
}
