package config

import "github.com/waxwing-mail/waxwing/appliance"

// LoadSettings reads the settings of a configuration and nothing else, for a
// program that only has to find the server: modules may be wrong, and the
// variables and files they use may be missing. The error is of the type
// [Diagnostics].
func LoadSettings(filename string, src []byte, o Options) (appliance.Settings, error) {
	l := newLoader(filename, src, o.withDefaults(), nil)
	if body, ok := parse(l.collector, newWords(l.allSchemas()...)); ok {
		l.src.setMasks(l.masks(body))
		l.settings(body)
	}
	if diags := l.diagnostics(); diags.HasErrors() {
		return appliance.Settings{}, diags
	}
	return l.set, nil
}
