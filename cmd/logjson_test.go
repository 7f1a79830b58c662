package cmd

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestX8JSON: a line of the log is one line, and reads as it was written,
// whatever a stranger put into a field.
func TestX8JSON(t *testing.T) {
	texts := []string{
		"plain", "Jörg 日本", `quote " and \ backslash`, "x\r\n{\"level\":\"error\"}", "\x00\x1b[2J\x7f",
		"\u202eevil\u202c", "\u2028next\u2029", "\u009b31m\u0085", "\u200e\u2066x\u2069", "\xff\xc2", "\U0001f426",
	}
	t.Attr("tried", strconv.Itoa(len(texts)))
	for _, text := range texts {
		var out bytes.Buffer
		log := newLogger(&out, appliance.LogSettings{Level: "info", Format: "json"})
		log.Info("seen", zap.String("user", text))
		line := out.String()
		if strings.Count(line, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), appliance.IsControl) {
			t.Errorf("%q is written as %q", text, line)
		}
		var got struct{ User string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Errorf("%q: %v in %q", text, err, line)
		}
		if utf8.ValidString(text) && got.User != text {
			t.Errorf("%q is read as %q", text, got.User)
		}
	}
}
