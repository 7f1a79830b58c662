package dkim

import (
	"fmt"
	"strings"
	"testing"
)

// TestLines: the lines of a signature fit into mail, and those that need not
// be longer are of the length that one likes to read.
func TestLines(t *testing.T) {
	long := strings.Repeat(strings.Repeat("d", 61)+".", 3) + "example"
	for _, c := range []struct {
		name   string
		change func(*DKIM)
		most   int // octets of a line
		longer int // lines of more than lineLength
	}{
		{"ordinary", func(*DKIM) {}, lineLength, 0},
		{"without x", func(d *DKIM) { d.Expire = 0 }, lineLength, 0},
		{"long domain and selector", func(d *DKIM) {
			d.Domains, d.Selector = []string{long}, strings.Repeat("s", 40)
		}, 250, 1},
		{"many long names", func(d *DKIM) {
			for i := range maxHeaders - len(standardHeaders) {
				d.Headers = append(d.Headers, fmt.Sprintf("X%0*d", maxHeaderName-1, i))
			}
		}, lineLength, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := configured(c.change)
			start(t, d, stocked(t, d.Domains...))
			tx := parse(t, strings.Replace(plainMail, "example.com", d.Domains[0], 1))
			if err := d.Modify(t.Context(), tx); err != nil {
				t.Fatal(err)
			}
			signed := wire(t, tx)
			for _, v := range verify(t, d, signed) {
				if v.Err != nil {
					t.Error(v.Err)
				}
			}
			longer := 0
			field, _, _ := strings.Cut(signed, "\r\nFrom")
			for line := range strings.SplitSeq(field, "\r\n") {
				if len(line) > c.most {
					t.Errorf("a line of %d octets: %s", len(line), line)
				}
				if len(line) > lineLength {
					longer++
				}
			}
			if longer != c.longer {
				t.Errorf("%d long lines, want %d:\n%s", longer, c.longer, field)
			}
		})
	}
}
