package cmd

import (
	"strings"
	"testing"
)

// TestColumns: a list keeps to its width whatever strangers write in their
// addresses and replies.
func TestColumns(t *testing.T) {
	for text, want := range map[string]int{
		"":                0,
		"größe":           5,
		"用户@example.test": 17,
		"e\u0301\u0323":   1, // an e with two marks above and below
		"a\u200bb":        2,
		"ｗｉｄｅ":            8,
		"📫":               2,
		"한글":              4,
		"\U00020000x":     3,
		"…":               1,
	} {
		if got := columns(text); got != want {
			t.Errorf("%q takes %d columns, not %d", text, got, want)
		}
	}
	cell := strings.Repeat("用户", 30) + "x" + strings.Repeat("e\u0301", 30)
	for width := range 200 {
		for name, short := range map[string]string{"middle": middle(cell, width+leastWidth), "clip": clip(cell, width+leastWidth)} {
			if got := columns(short); got > width+leastWidth || got < min(width+leastWidth-2, columns(cell)) {
				t.Fatalf("%s to %d has %d columns: %q", name, width+leastWidth, got, short)
			}
		}
	}
	all := &table{width: 60, soft: []int{0}, prose: []int{2}}
	all.add("<"+strings.Repeat("用户", 20)+"@例え.test>", "held", strings.Repeat("邮件被拒绝。", 20))
	all.add("<a@b.test>", "held", "450 4.2.0 later")
	rows := strings.Split(text(t, all), "\n")
	for _, row := range rows {
		if columns(row) > 60 {
			t.Errorf("%d columns: %s", columns(row), row)
		}
	}
	first, _, _ := strings.Cut(rows[0], "  held")
	second, _, _ := strings.Cut(rows[1], "  held")
	if columns(first) != columns(second) {
		t.Errorf("the columns do not stand below one another:\n%s\n%s", rows[0], rows[1])
	}
}
