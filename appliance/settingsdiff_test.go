package appliance

import (
	"reflect"
	"strings"
	"testing"
)

// TestSettingsChanged: every setting is noticed, under the name it has in the
// file, also those whose values are files or secrets.
func TestSettingsChanged(t *testing.T) {
	base := DefaultSettings()
	same := DefaultSettings()
	if got := base.Changed(&same); got != nil {
		t.Errorf("nothing changed: %q", got)
	}
	next := DefaultSettings()
	next.DNSSEC = true
	next.Log.Redact = []string{"address"}
	next.Admin.Token = NewSecret("0123456789abcdef")
	next.Queue.Retry = Schedule{}
	rules, err := ParseClassRules("rate 450 slow down\n")
	if err != nil {
		t.Fatal(err)
	}
	next.Queue.Classes = rules
	if got := strings.Join(base.Changed(&next), " "); got != "dnssec log.redact admin.token queue.retry queue.classes" {
		t.Errorf("%s", got)
	}
}

// TestSettingsNamed: each field of the settings has a name to be known by.
func TestSettingsNamed(t *testing.T) {
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for f := range typ.Fields() {
			name, kind, _ := strings.Cut(f.Tag.Get("hcl"), ",")
			if name == "" || !f.IsExported() {
				t.Errorf("%s.%s has no name in the file", typ, f.Name)
			}
			if kind == "block" {
				look(f.Type)
			}
		}
	}
	look(reflect.TypeFor[Settings]())
}
