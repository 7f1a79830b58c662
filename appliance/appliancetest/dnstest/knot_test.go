package dnstest

import (
	"slices"
	"testing"
)

func TestKnot(t *testing.T) {
	s := Knot(t, Zone{Name: "one.test.", Records: `a TXT "first" "half"`}, Zone{Name: "two.test.", Records: "a CNAME a.one.test."})
	if got := s.TXT(t, "a.one.test"); s.Zone != "one.test." || !slices.Equal(got, []string{"firsthalf"}) {
		t.Errorf("zone %s holds %q", s.Zone, got)
	}
	if got := s.TXT(t, "b.two.test."); got != nil {
		t.Errorf("%q where nothing is", got)
	}
}
