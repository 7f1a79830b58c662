// Package fields holds what the manual says about the attributes of the
// modules in this tree: the comments of their fields, as fields.json. It
// imports no module, so that a program can explain modules that it does not
// link. "go generate ./modules/standard" writes the file anew.
package fields

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
)

//go:embed fields.json
var file []byte

var texts = sync.OnceValue(func() map[string]map[string]string {
	var all map[string]map[string]string
	if err := json.Unmarshal(file, &all); err != nil {
		panic(fmt.Sprintf("fields.json: %v", err)) // a test loads it
	}
	return all
})

// Text returns the comment of a field of a struct, "" if there is none.
func Text(owner reflect.Type, field string) string {
	return texts()[owner.PkgPath()+"."+owner.Name()][field]
}
