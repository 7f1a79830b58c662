package recode

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// FuzzRecode: a message stays as it was, or has nothing of what it shall not have
// and says the same.
func FuzzRecode(f *testing.F) {
	f.Add("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xff\r\n--b--\r\n")
	f.Add(lines(text + "\n" + strings.Repeat("-x", 600) + "\n"))
	f.Add(lines(text + qp + "\n" + strings.Repeat("=3D--", 300) + "\n"))
	f.Add(lines(mimeHead + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n" + b64 + "\n" + strings.Repeat("QUFB", 300) + "\n--b--\n"))
	f.Fuzz(func(t *testing.T, in string) {
		if strings.ContainsAny(strings.ReplaceAll(in, "\r\n", ""), "\r\n\x00") {
			return
		}
		for _, aim := range []Aim{HighOctets, LongLines} {
			recoded(t, in, aim)
		}
	})
}

func recoded(t *testing.T, in string, aim Aim) {
	head, body, ok := strings.Cut(in, "\r\n\r\n")
	h, err := appliance.ParseHeader([]byte(head + "\r\n"))
	if !ok || err != nil {
		return
	}
	original := h.Clone()
	p, whole := new(planner), appliance.BytesBody("\r\n"+body)
	if walk(whole, &h, p) != nil {
		return
	}
	if needed, err := p.decide(aim); !needed || err != nil {
		return
	}
	p.entities[0].declare(&h)
	var out bytes.Buffer
	if err := walk(whole, &original, &writer{out: &out, plan: p.entities}); err != nil {
		return // not the base64 that it says it is
	}
	var r ruler
	r.measure(out.Bytes())
	if aim == LongLines && r.long || aim == HighOctets && !isASCII(out.Bytes()) {
		t.Fatalf("%q has become %q", in, out.String())
	}
	want, err := appliancetest.Leaves(strings.NewReader(in))
	if err != nil {
		return // the standard library reads less
	}
	got, err := appliancetest.Leaves(io.MultiReader(bytes.NewReader(h.Bytes()), &out))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
}
