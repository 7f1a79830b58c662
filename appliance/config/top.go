package config

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// LoadSettings reads the settings of a configuration and nothing else, for a
// program that only has to find the server: modules may be wrong, and the
// variables and files they use may be missing. So may other settings than
// data_dir and admin.address: mistakes in those are the second result, and the
// error is of the type [Diagnostics] too.
func LoadSettings(filename string, src []byte, o Options) (appliance.Settings, Diagnostics, error) {
	l := newLoader(filename, src, o.withDefaults(), nil)
	body, ok := parse(l.collector, newWords(l.allSchemas()...))
	if !ok {
		return appliance.Settings{}, nil, l.diagnostics()
	}
	l.src.setMasks(l.masks(body))
	whereabouts := newLoader(filename, src, l.opts, nil)
	whereabouts.src = l.src
	whereabouts.whereabouts(body)
	if diags := whereabouts.diagnostics(); diags.HasErrors() {
		return appliance.Settings{}, nil, diags
	}
	l.settings(body)
	l.set.DataDir, l.set.Admin.Address = whereabouts.set.DataDir, whereabouts.set.Admin.Address
	return l.set, l.diagnostics(), nil
}

// whereabouts decodes what the server is found by.
func (l *loader) whereabouts(body *hclsyntax.Body) {
	l.top = only(body, "data_dir")
	for _, b := range body.Blocks {
		if b.Type == "admin" {
			inner := *b
			inner.Body = only(b.Body, "address")
			l.top.Blocks = append(l.top.Blocks, &inner)
		}
	}
	l.decoder("", nil).body(reflect.ValueOf(&l.set).Elem(), l.top, l.settingsSchema, place{})
	if l.set.DataDir == "" {
		l.set.DataDir = l.opts.DataDir
	}
	checkAddress(func(attr, msg string, args ...any) {
		l.blameSetting(appliance.AttrError{Attr: attr, Msg: fmt.Sprintf(msg, args...)})
	}, "admin.address", l.set.Admin.Address)
}

// only is the body with none but one of its attributes.
func only(body *hclsyntax.Body, name string) *hclsyntax.Body {
	part := &hclsyntax.Body{Attributes: make(hclsyntax.Attributes), SrcRange: body.SrcRange, EndRange: body.EndRange}
	if attr, ok := body.Attributes[name]; ok {
		part.Attributes[name] = attr
	}
	return part
}
