package appliance

import (
	"testing"
	"time"
)

// TestRate: what a rate is written as.
func TestRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"":          {},
		"100/1m":    {Count: 100, Per: time.Minute},
		"100/m":     {Count: 100, Per: time.Minute},
		"50/day":    {Count: 50, Per: 24 * time.Hour},
		" 50 / 1d":  {Count: 50, Per: 24 * time.Hour},
		"1/90s":     {Count: 1, Per: 90 * time.Second},
		"14/second": {Count: 14, Per: time.Second},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q: written as %q, read as %v, %v", text, got.String(), again, err)
		}
	}
	for _, text := range []string{"100", "/m", "0/m", "-1/m", "100/", "100/0s", "100/1us", "9999999/s", "1/1000d", "1/m/s", "many/m"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// TestAcquireRelay: the queue finds relays by name, as the configuration is now.
func TestAcquireRelay(t *testing.T) {
	p := newPlant()
	a := p.appliance()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(t.Context())
	relay := func() Relay {
		t.Helper()
		r, release, ok := a.AcquireRelay("out")
		if !ok {
			t.Fatal("no relay out")
		}
		release()
		return r
	}
	old := relay()
	p.setRelay("relay2", "2")
	if err := a.Reload(t.Context(), p.graph()); err != nil {
		t.Fatal(err)
	}
	if relay() == old {
		t.Error("the relay of before the reload")
	}
	if _, _, ok := a.AcquireRelay("nowhere"); ok {
		t.Error("a relay that is not there")
	}
}
