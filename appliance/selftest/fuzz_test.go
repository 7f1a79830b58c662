package selftest

import (
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// FuzzReport: whatever a message is like, the report on it adds up, and what
// fails says what to do.
func FuzzReport(f *testing.F) {
	f.Add("From: a@example.com\r\n", "\r\nHello\r\n")
	f.Add("From: a@example.com\r\nFrom: =?utf-8?q?b?= <b@example.com>, c\r\nDate: yesterday\r\nMessage-ID: <@>\r\nTo: :;\r\n", "")
	f.Add("Content-Type: multipart/mixed; boundary=x\r\nMIME-Version: 1.0\r\n", "\r\n--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x--\r\n")
	f.Add("Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n", "\r\n=!=\r\n")
	f.Add("DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=w1; h=from; b=AA==; bh=AA==\r\nDKIM-Signature: ;;\r\nDKIM-Signature: d=\r\n", "\r\n")
	f.Add("List-Unsubscribe: <https://x>\r\nList-Unsubscribe: y\r\nPrecedence: bulk\r\n", "\r\na\rb\x00\xff")
	z := well()
	f.Fuzz(func(t *testing.T, header, body string) {
		h, err := appliance.ParseHeader([]byte(header))
		if err != nil {
			return
		}
		l := letter{zone: z}.write(t)
		l.Message = appliance.Message{Header: h, Body: appliance.BytesBody(body)}
		r := Judge(t.Context(), l)
		lost := 0
		for _, g := range r.Groups {
			for i := range g.Items {
				x := &g.Items[i]
				lost += x.Lost
				if x.Name == "" || x.Text == "" || x.Lost < 0 || x.Status == appliance.FoundFail && x.Fix == "" || x.Lost > 0 && x.Status != appliance.FoundFail && x.Status != appliance.FoundWarn {
					t.Errorf("%+v", x)
				}
				if strings.ContainsAny(x.Text, "\r\n") {
					t.Errorf("%q has more than one line", x.Text)
				}
			}
		}
		if r.Score != max(fullScore-lost, 0) || r.Verdict == "" {
			t.Errorf("score %d, %d lost: %s", r.Score, lost, r.Verdict)
		}
	})
}
