package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestConcerns: a suspension is of a destination, of a site, or of the part of
// either after the slash.
func TestConcerns(t *testing.T) {
	x := &appliance.Explanation{Destination: "out/example.org", Site: "out/google"}
	for name, want := range map[string]bool{
		"example.org": true, "out/example.org": true, "google": true, "OUT/Google": true,
		"example.net": false, "other/example.org": false, "out": false, "": false,
	} {
		if got := concerns(name, x); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if concerns("", new(appliance.Explanation)) {
		t.Error("nothing concerns nothing")
	}
}

// TestSiteWords: how the site of a message does now.
func TestSiteWords(t *testing.T) {
	x := &appliance.Explanation{Destination: "out/example.org", Site: "out/google"}
	down := time.Now().Add(time.Hour)
	for _, tc := range []struct {
		state appliance.SiteState
		want  string
	}{
		{appliance.SiteState{Name: "out/google", Limit: 5, Connections: 5, Rate: "100/1m"}, "out/google gets 5 of 5 deliveries at a time, 0 under way, 100/1m"},
		{appliance.SiteState{Name: "out/example.org", Limit: 1, Connections: 1, InFlight: 1}, "out/example.org gets 1 of 1 delivery at a time, 1 under way"},
		{appliance.SiteState{Name: "out/google", Limit: 1, Connections: 5, Down: down, Because: "451 no route"},
			"out/google gets 1 of 5 deliveries at a time, 0 under way; left alone until "},
	} {
		got, known := siteWords(x, []appliance.SiteState{{Name: "out/other"}, tc.state})
		if !known || !strings.HasPrefix(got, tc.want) || !strings.HasSuffix(got, tc.state.Because) {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	if got, known := siteWords(x, []appliance.SiteState{{Name: "other/google"}}); known {
		t.Errorf("somebody else: %q", got)
	}
}
