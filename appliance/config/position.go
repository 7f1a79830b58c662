package config

import (
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Position says where the file says something about an instance, as
// "mail.hcl:12": its attribute, or its block "route.2", which is the second of
// that name. The zero address stands for the settings. If the attribute is not
// written it is the block around it that is found, and written is false; "" if
// there is no such block either.
func (f *File) Position(a appliance.Addr, attr string) (line string, written bool) {
	var at, around span
	if a.IsZero() {
		path := strings.Split(attr, ".")
		at = locate(f.top, path)
		if len(path) > 1 {
			around = locate(f.top, path[:len(path)-1])
		}
	} else if n := f.instances[a]; n != nil && n.block != nil {
		at, around = locateOne(n, attr), n.header().span
	}
	if at.isZero() {
		at = around
	}
	if at.isZero() {
		return "", false
	}
	return fmt.Sprintf("%s:%d", f.collector.src.name, f.collector.src.line(at.from)), at != around || attr == ""
}

func locateOne(n *instance, attr string) span {
	if attr == "" {
		return span{}
	}
	name, number, numbered := strings.Cut(attr, ".")
	if !numbered {
		return locate(n.body, []string{attr})
	}
	k := 0
	for _, b := range n.body.Blocks {
		if b.Type != name {
			continue
		}
		if k++; fmt.Sprint(k) == number {
			return spanOf(b.DefRange())
		}
	}
	return locate(n.body, []string{name, number})
}
