package appliance

import (
	"reflect"
	"strings"
)

// Changed names the settings that next has otherwise, as they are written in
// the file: "dnssec", "queue.classes". They stand in the order of the manual.
func (s *Settings) Changed(next *Settings) []string {
	return changedFields(reflect.ValueOf(s).Elem(), reflect.ValueOf(next).Elem(), "")
}

func changedFields(was, is reflect.Value, prefix string) []string {
	var all []string
	for f := range was.Type().Fields() {
		name, kind, _ := strings.Cut(f.Tag.Get("hcl"), ",")
		a, b := was.FieldByIndex(f.Index), is.FieldByIndex(f.Index)
		switch {
		case kind == "block":
			all = append(all, changedFields(a, b, prefix+name+".")...)
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			all = append(all, prefix+name)
		}
	}
	return all
}
