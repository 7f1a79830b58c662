package config

import (
	"path/filepath"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The blocks that need not be written.
const (
	implicitStoreType, implicitStoreName = "disk", "main"
	implicitTLSType, implicitTLSName     = "self_signed", "default"
	captureType, captureName             = "capture", "captured"
)

// implicit adds the blocks that the file leaves out: a store in the data
// directory, a certificate for the listeners that want one, and in capture
// mode the relay that keeps everything.
func (l *loader) implicit() {
	var added []*instance
	if !l.has(appliance.KindStore) {
		if n := l.implicitBlock(appliance.KindStore, implicitStoreType, implicitStoreName); n != nil {
			added = append(added, n)
			l.presetPath(n)
		}
	}
	if !l.has(appliance.KindTLS) && l.wants(appliance.KindTLS) {
		if n := l.implicitBlock(appliance.KindTLS, implicitTLSType, implicitTLSName); n != nil {
			added = append(added, n)
		}
	}
	if l.set.Mode == appliance.ModeCapture {
		added = append(added, l.capture()...)
	}
	l.instances = append(added, l.instances...)
}

func (l *loader) has(kind appliance.Kind) bool {
	return slices.ContainsFunc(l.instances, func(n *instance) bool { return n.addr.Kind == kind })
}

// wants says whether a reference tagged "only" to a block of the kind is left
// out somewhere.
func (l *loader) wants(kind appliance.Kind) bool {
	found := false
	for _, n := range l.instances {
		l.eachBody(n.body, n.schema, func(body *hclsyntax.Body, s *schema) {
			for _, f := range s.fields {
				if f.only && body.Attributes[f.name] == nil && slices.Contains(f.kinds(), kind) {
					found = true
				}
			}
		})
	}
	return found
}

// implicitBlock makes an instance of a type, if the program has it.
func (l *loader) implicitBlock(kind appliance.Kind, typ, name string) *instance {
	r, ok := l.opts.Registry.Get(kind, typ)
	if !ok {
		return nil
	}
	n := &instance{
		addr: appliance.Addr{Kind: kind, Name: name}, typ: typ,
		body: new(hclsyntax.Body), target: r.New(),
	}
	n.schema = schemaOf(reflect.TypeOf(n.target).Elem())
	l.byAddr[n.addr] = n
	return n
}

// presetPath gives the implicit store the data directory.
func (l *loader) presetPath(n *instance) {
	f := n.schema.attribute("path")
	if f == nil || f.typ.Kind() != reflect.String {
		return
	}
	n.preset = l.set.DataDir
	switch {
	case n.preset == "":
		n.failed = true
		l.errorf(place{}, "missing data_dir", "The queue needs a directory: write data_dir = \"/var/lib/waxwing\".")
	case !filepath.IsAbs(n.preset):
		n.failed = true
		where := place{span: locate(l.top, []string{"data_dir"})}
		l.errorf(where, "invalid data_dir", "%q depends on where the server was started; write the whole path, such as \"/var/lib/waxwing\".", n.preset)
	}
}

// capture returns the relay that every pipeline gets in capture mode, if it
// is to be added.
func (l *loader) capture() []*instance {
	addr := appliance.Addr{Kind: appliance.KindRelay, Name: captureName}
	at := place{span: locate(l.top, []string{"mode"})}
	if n := l.byAddr[addr]; n != nil {
		if n.typ != captureType {
			l.errorf(n.header(), addr.String()+" is in the way", `With mode = "capture" this is the address of the relay that keeps all mail. Give this one another name.`)
		}
		l.captured = n
		return nil
	}
	if l.captured = l.implicitBlock(addr.Kind, captureType, captureName); l.captured == nil {
		l.errorf(at, "capture mode is not part of this program", `It has no relay of the type %q. Write mode = %q.`, captureType, appliance.ModeLive)
		return nil
	}
	return []*instance{l.captured}
}

// diverted is where a reference leads in the end: in capture mode all relays
// of a pipeline are the one that sends nothing.
func (l *loader) diverted(n *instance, k link) *instance {
	relay := reflect.TypeFor[appliance.Relay]()
	if l.captured != nil && n.addr.Kind == appliance.KindPipeline && k.field.role() == relay {
		return l.captured
	}
	return k.to
}
