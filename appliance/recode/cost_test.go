package recode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestWalkCost_H6: a line that could be a boundary is compared with those of all
// multiparts around it, which must not cost more than the line is worth.
func TestWalkCost_H6(t *testing.T) {
	nested := func(boundary string) (*appliance.Header, string) {
		h, err := appliance.ParseHeader([]byte("Content-Type: multipart/mixed; boundary=\"" + boundary + "0x\"\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString("\r\n")
		for i := range 95 {
			fmt.Fprintf(&b, "--%s%dx\r\nContent-Type: multipart/mixed;\r\n boundary=\"%s%dx\"\r\n\r\n", boundary, i, boundary, i+1)
		}
		return &h, b.String() + strings.Repeat("--\r\n", 20_000)
	}
	h, body := nested(strings.Repeat("b", 60))
	p := new(planner)
	if n := testing.AllocsPerRun(1, func() {
		p = new(planner)
		if err := walk(appliance.BytesBody(body), h, p); err != nil {
			t.Fatal(err)
		}
	}); n > 10_000 || len(p.entities) != 96 {
		t.Errorf("%.0f allocations for %d entities and 20,000 lines", n, len(p.entities))
	}
	h, body = nested(strings.Repeat("b", 8000))
	p = new(planner)
	if err := walk(appliance.BytesBody(body), h, p); err != nil || len(p.entities) != 1 || p.entities[0].kind != isFrozen {
		t.Errorf("boundaries that are too long: %v, %d entities", err, len(p.entities))
	}
}

// TestMendDashes: dashes at the beginning of a line are encoded, and only those:
// a drawing out of dashes does not grow beyond measure, and lines stay as short
// as RFC 2045, section 6.7 wants them.
func TestMendDashes(t *testing.T) {
	head := mimeHead + "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + text
	rulers := strings.Repeat(strings.Repeat("-", 72)+"\n", 1000)
	long := strings.Repeat("-", 2000) + "\n"
	for name, in := range map[string]string{
		"encoded": head + "\n" + rulers + long + "--b--\n",
		"wrapped": head + qp + "\n" + strings.Repeat(strings.Repeat("-", 75)+"=\n", 1000) + long + "--b--\n",
	} {
		in = lines(in)
		out, err := through(t, in)
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := same(in, out); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
		if len(out) > len(in)*5/4 {
			t.Errorf("%s: %d octets have become %d", name, len(in), len(out))
		}
		for line := range strings.Lines(out) {
			if len(line) > 78 {
				t.Fatalf("%s: a line of %d octets", name, len(line)-2)
			}
			if line == "=\r\n" {
				t.Fatalf("%s: a line of nothing but a soft line break", name)
			}
		}
	}
}
