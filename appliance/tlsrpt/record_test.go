package tlsrpt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseRecords(t *testing.T) {
	long := "mailto:" + strings.Repeat("x", maxURI) + "@a.test"
	for _, tc := range []struct {
		texts []string
		want  string // the endpoints, or the error
	}{
		{[]string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, "mailto:reports@example.com"},
		{[]string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, "https://reporting.example.com/v1/tlsrpt"},
		{[]string{"v=TLSRPTv1 ; rua = mailto:a@b.test , https://b.test:8443/x?y=1#z ; ext=1;"}, "mailto:a@b.test https://b.test:8443/x?y=1"},
		{[]string{"spf", "v=TLSRPTv1;rua=mailto:a@b.test", "v=TLSRPTv2;rua=mailto:c@d.test"}, "mailto:a@b.test"},
		{[]string{"v=TLSRPTv1; rua=mailto:a%2Cb@b.test"}, "error"}, // a comma needs quotes in an address, too
		{[]string{`v=TLSRPTv1; rua=mailto:%22a%2Cb%22@b.test`}, `mailto:"a,b"@b.test`},
		{[]string{"v=TLSRPTv1; rua=mailto:a@B.Test?subject=spam&bcc=victim@c.test"}, "mailto:a@b.test"},
		{[]string{"v=TLSRPTv1; rua=gopher://b.test,mailto:a@b.test"}, "mailto:a@b.test"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.test; rua=mailto:c@d.test"}, "mailto:a@b.test"},
		{[]string{"v=TLSRPTv1; rua=" + long + ",mailto:a@b.test"}, "mailto:a@b.test"},
		{[]string{"v=TLSRPTv1; rua=" + strings.Repeat("mailto:a@b.test,", 500)}, strings.TrimSpace(strings.Repeat("mailto:a@b.test ", maxEndpoints))},

		{nil, "none"},
		{[]string{"v=TLSRPTv10; rua=mailto:a@b.test"}, "none"},
		{[]string{"V=TLSRPTV1; rua=mailto:a@b.test"}, "none"},
		{[]string{"v=TLSRPTv1"}, "none"},
		{[]string{"v=TLSRPTv1;rua=mailto:a@b.test", "v=TLSRPTv1;rua=mailto:c@d.test"}, "error"},
		{[]string{"v=TLSRPTv1;"}, "error"},
		{[]string{"v=TLSRPTv1; rua="}, "error"},
		{[]string{"v=TLSRPTv1; rua=mailto:"}, "error"},
		{[]string{"v=TLSRPTv1; rua=mailto:postmaster"}, "error"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.test%0d%0aBcc:c@d.test"}, "error"},
		{[]string{"v=TLSRPTv1; rua=http://b.test/"}, "error"},
		{[]string{"v=TLSRPTv1; rua=https:///x"}, "error"},
		{[]string{"v=TLSRPTv1; rua=https:b.test"}, "error"},
		{[]string{"v=TLSRPTv1; rua=https://user:secret@b.test/"}, "error"},
		{[]string{"v=TLSRPTv1; rua=https://b.test:x/"}, "error"},
		{[]string{"v=TLSRPTv1; rua=\x00\xff"}, "error"},
	} {
		all, err := ParseRecords(tc.texts)
		var list []string
		for _, e := range all {
			if e.URL != nil {
				list = append(list, e.URL.String())
			} else {
				list = append(list, e.String())
			}
		}
		got := strings.Join(list, " ")
		switch {
		case errors.Is(err, ErrNoRecord):
			got = "none"
		case errors.Is(err, ErrRecord):
			got = "error"
		case err != nil:
			t.Errorf("%.80q: %v", tc.texts, err)
		}
		if got != tc.want {
			t.Errorf("%.80q: %.200s, want %.200s (%v)", tc.texts, got, tc.want, err)
		}
	}
}

// FuzzParseRecords: whatever comes out can be used.
func FuzzParseRecords(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@b.test,https://b.test/x;")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseRecords([]string{text})
		if (err == nil) != (len(all) > 0) || len(all) > maxEndpoints {
			t.Fatalf("%v, %v", all, err)
		}
		for _, e := range all {
			if (e.URL == nil) == e.Mailbox.IsNull() || e.URL != nil && e.URL.Scheme != "https" || fmt.Sprint(e) == "" {
				t.Errorf("%+v", e)
			}
		}
	})
}
