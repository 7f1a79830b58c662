package cmd

import (
	"bytes"
	"os"
	"testing"
)

// TestColourIsForTerminals: neither a file nor who has set NO_COLOR gets any.
func TestColourIsForTerminals(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	for _, tt := range []struct {
		noColor string
		out     any
		want    bool
	}{{"", terminal, true}, {"1", terminal, false}, {"", new(bytes.Buffer), false}} {
		t.Setenv("NO_COLOR", tt.noColor)
		if got := inColour(tt.out); got != tt.want {
			t.Errorf("NO_COLOR=%q, %T: %v", tt.noColor, tt.out, got)
		}
	}
}
