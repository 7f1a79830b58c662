// Package config reads the configuration file: HCL in, a graph of module
// instances with every reference bound out. It is the only package that knows
// HCL.
//
// # Language
//
// A block is `kind "type" "name" { … }`, a reference is a bare address,
// `relay.internet`; names are unique within a kind. Pipelines are
// `pipeline "name" { … }`; every other block and every attribute at the top
// level is part of [appliance.Settings]. A block may be written on one line,
// also with several attributes. Values are what HCL calls literals, templates
// and operators, and two functions: env("X") or env("X", "default"), and
// file("/run/secrets/x"). What they return is taken literally. There are no
// variables, no for expressions and no template directives, so that reading a
// file always ends, in a time proportional to its size.
//
// # How a file is read
//
//	bounds    size, encoding and nesting, before the parser sees the file (bounds.go)
//	parse     HCL; syntax errors end here
//	settings  the top level is decoded over the defaults
//	blocks    one instance for each, new from its registration, plus the implicit ones
//	refs      every reference is bound to an instance, or is an error
//	order     instances stand after what they refer to, or there is a cycle
//	decode    in that order: attributes are evaluated and written over the
//	          defaults, Refs are bound, Validate is called
//	review    what is legal and looks wrong becomes a warning
//
// Every stage reports all it finds; the errors come out together, sorted by
// position. A [Diagnostic] never holds the value of a secret, of env() or of
// file(): literals of attributes that are secret, or not known not to be, are
// masked in the snippet.
//
// # Reload
//
// [Load] takes the running graph. A block that means the same as before, with
// everything it depends on, keeps its running instance: see
// [appliance.Node.Fingerprint].
package config
