package admin_test

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 998)
	for in, want := range map[string]string{
		"":                  "",
		"a":                 "a\r\n",
		"a\n":               "a\r\n",
		"a\r\n":             "a\r\n",
		"a\n\nb\r\n\n":      "a\r\n\r\nb\r\n\r\n",
		".\n":               ".\r\n",
		long + "\n":         long + "\r\n",
		long + "\r\nb":      long + "\r\nb\r\n",
		long + "x":          long + "x\r\n",
		long + "x\r\n":      long + "x\r\n",
		long + long + "\nb": long + long + "\r\nb\r\n",
		"\xff\xfe\n":        "\xff\xfe\r\n",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "octets": iotest.OneByteReader(strings.NewReader(in))} {
			got, err := io.ReadAll(admin.NewLineReader(r))
			if err != nil || string(got) != want {
				t.Errorf("%s %.20q: got %.20q, %v", name, in, got, err)
			}
		}
	}
	for _, in := range []string{"\r", "a\rb", "a\r\r\n", "\x00", long + "x\r", long + "x\x00"} {
		if got, err := io.ReadAll(admin.NewLineReader(strings.NewReader(in))); err == nil {
			t.Errorf("%.20q passed as %.20q", in, got)
		}
	}
}

var proper = regexp.MustCompile(`\A(?s:[^\r\n\x00]*\r\n)*\z`)

func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "a", "a\nb", "\r\n.\r\n", "\r", "\x00", "a\r\r\nb"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := io.ReadAll(admin.NewLineReader(bytes.NewReader(in)))
		if err == nil && !proper.Match(got) {
			t.Errorf("%q became %q", in, got)
		}
	})
}
